/** A button whose act is asked for once more, in a dialog of the browser's own kind: Escape leaves, the focus stays inside. */

import { useRef, useState } from 'react';
import { Failure } from '../../shared/notes.tsx';

export interface ConfirmProps {
  readonly label: string;
  readonly question: string;
  /** What it means. */
  readonly explanation: string;
  readonly danger?: boolean;
  readonly act: () => Promise<unknown>;
}

export function Confirm({ label, question, explanation, danger, act }: ConfirmProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(undefined);
  const tone = danger ? 'danger' : undefined;
  const yes = async () => {
    setBusy(true);
    setError(undefined);
    try {
      await act();
      dialog.current?.close();
    } catch (cause) {
      setError(cause);
    } finally {
      setBusy(false);
    }
  };
  return (
    <>
      <button type="button" className={`small ${tone ?? ''}`} onClick={() => dialog.current?.showModal()}>
        {label}
      </button>
      <dialog ref={dialog} aria-label={question}>
        <div className="stack">
          <h2>{question}</h2>
          <p>{explanation}</p>
          {error !== undefined && <Failure title="That did not work." error={error} />}
          <div className="row end">
            <button type="button" onClick={() => dialog.current?.close()}>
              No, leave it
            </button>
            <button type="button" className={danger ? 'danger' : 'primary'} disabled={busy} onClick={yes}>
              {label}
            </button>
          </div>
        </div>
      </dialog>
    </>
  );
}
