/** After the run: how it ended, the tuned model to try, the adapter to take away. */

import { useState } from 'react';
import type { Tab } from '../use-tab.ts';
import { Chat } from './chat.tsx';
import { Problem } from './problem.tsx';

export function ResultCard({ tab }: { readonly tab: Tab }) {
  const { seat } = tab;
  if (seat === undefined) return null;
  const { status = '', reason = null } = seat.outcome ?? {};
  return (
    <>
      <section className="card stack" aria-labelledby="result">
        <h2 id="result">{TITLES[status] ?? 'The run is over'}</h2>
        {reason !== null && <p>{reason}</p>}
        {seat.hasResult ? (
          <Download tab={tab} />
        ) : (
          <p>{status === 'finished' ? 'The result is not in this browser.' : 'There is no result to try.'}</p>
        )}
      </section>
      {seat.hasResult && <Chat tab={tab} />}
    </>
  );
}

const TITLES: Readonly<Record<string, string>> = {
  finished: 'The run is finished. Thank you!',
  failed: 'The run has failed',
  cancelled: 'The operator ended the run',
};

function Download({ tab }: { readonly tab: Tab }) {
  const [error, setError] = useState<unknown>(undefined);
  const [busy, setBusy] = useState(false);
  const download = async () => {
    if (tab.seat === undefined) return;
    setBusy(true);
    setError(undefined);
    try {
      const { name, zip } = await tab.call('adapter', { seat: tab.seat.id });
      save(zip, name);
    } catch (cause) {
      setError(cause);
    } finally {
      setBusy(false);
    }
  };
  return (
    <>
      <p>
        The adapter fits the run’s base model and is read by PEFT (Python), by Headwater and by whatever reads
        their format.
      </p>
      {error !== undefined && <Problem error={error} />}
      <div>
        <button type="button" className="primary" disabled={busy} onClick={() => void download()}>
          Download the adapter (ZIP)
        </button>
      </div>
    </>
  );
}

/** Time for the browser to begin. */
const KEPT_MS = 60_000;

function save(blob: Blob, name: string): void {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), KEPT_MS);
}
