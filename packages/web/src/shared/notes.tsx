/** The states a page can be in besides showing something: it waits, it failed, there is nothing. */

import type { ReactNode } from 'react';

export function Loading({ what }: { readonly what: string }) {
  return (
    <p className="note" role="status">
      <span className="spinner spin" aria-hidden="true" /> Loading {what} …
    </p>
  );
}

export function Empty({ title, children }: { readonly title: string; readonly children?: ReactNode }) {
  return (
    <div className="note empty">
      <p className="label">{title}</p>
      {children}
    </div>
  );
}

export interface FailureProps {
  /** What could not be done. */
  readonly title: string;
  readonly error: unknown;
  readonly retry?: (() => void) | undefined;
}

export function Failure({ title, error, retry }: FailureProps) {
  const { message, hint } = error as { readonly message?: string; readonly hint?: string };
  return (
    <div className="note bad" role="alert">
      <p className="label">{title}</p>
      <p className="lines">{message ?? String(error)}</p>
      {hint !== undefined && <p className="lines">{hint}</p>}
      {retry !== undefined && (
        <button type="button" className="small" onClick={retry}>
          Try again
        </button>
      )}
    </div>
  );
}
