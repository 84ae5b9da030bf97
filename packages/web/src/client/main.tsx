/** Entry of the page on which an owner joins a run. */

import '../shared/tokens.css';
import '../shared/base.css';
import '../shared/notes.css';
import './client.css';
import { createRoot } from 'react-dom/client';
import { App } from './app.tsx';
import { missingHere, Unsupported } from './parts/unsupported.tsx';

const missing = missingHere();
createRoot(document.getElementById('root')!).render(
  missing.length === 0 ? <App /> : <Unsupported missing={missing} />,
);
