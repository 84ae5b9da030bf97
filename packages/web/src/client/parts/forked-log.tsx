/** What an owner can do about a log that contradicts what was seen: take the proof away, or believe the operator. */

import { useState } from 'react';
import type { TabError } from '../tab-worker.ts';
import type { Tab } from '../use-tab.ts';
import { save } from './save.ts';

export function isForked(error: unknown): boolean {
  return (error as Partial<TabError>).code === 'LOG_FORKED';
}

export function ForkedLog({ tab }: { readonly tab: Tab }) {
  const [hasNone, setNone] = useState(false);
  const { seat } = tab;
  if (seat === undefined) return null;
  const take = async () => {
    const proof = await tab.call('logEvidence', { seat: seat.id });
    if (proof === null) setNone(true);
    else save(proof, `${seat.run ?? 'run'}-log-heads.json`);
  };
  return (
    <>
      <div className="row">
        <button type="button" className="small" onClick={() => void take()}>
          Save both signed heads
        </button>
        <button type="button" className="small danger" onClick={() => void tab.forgetLog()}>
          Take the log as it is now
        </button>
      </div>
      <p className="hint">
        {hasNone
          ? 'There are no two heads that contradict each other: the log lacks something that was promised.'
          : 'Two heads of one log that exclude each other, both with the operator’s signature, are a proof for others. Take the log as it is only if you believe that a backup was restored.'}
      </p>
    </>
  );
}
