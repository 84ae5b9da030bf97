/** Entry of the operator's pages. */

import '../shared/tokens.css';
import '../shared/base.css';
import '../shared/notes.css';
import './dashboard.css';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { App } from './app.tsx';

createRoot(document.getElementById('root')!).render(
  <StrictMode>
    <App />
  </StrictMode>,
);
