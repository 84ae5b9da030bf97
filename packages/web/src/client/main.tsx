/** Entry of the page on which an owner joins a run. */

import { createRoot } from 'react-dom/client';

createRoot(document.getElementById('root')!).render(<h1>Join a run</h1>);
