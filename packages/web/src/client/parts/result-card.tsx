/** After the run: how it ended, the tuned model to try, the adapter to take away. */

import { useState } from 'react';
import type { Tab } from '../use-tab.ts';
import { Chat } from './chat.tsx';
import { Problem } from './problem.tsx';
import { save } from './save.ts';
import { whoSees } from './secure-steps.tsx';

export function ResultCard({ tab }: { readonly tab: Tab }) {
  const { seat, run } = tab;
  if (seat === undefined) return null;
  const masking = run?.summary.masking ?? null;
  const { status = '', reason = null } = seat.outcome ?? {};
  return (
    <>
      <section className="card stack" aria-labelledby="result">
        <h2 id="result">{TITLES[status] ?? 'The run is over'}</h2>
        {reason !== null && <p>{reason}</p>}
        {masking !== null && <p className="hint">Your updates were masked. {whoSees(masking)}</p>}
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
