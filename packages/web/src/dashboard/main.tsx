/** Entry of the operator's pages. */

import { createRoot } from 'react-dom/client';

createRoot(document.getElementById('root')!).render(<h1>Headwater</h1>);
