/** How many rounds are done, in words and as a bar. */

import type { RunSummary } from '@headwater/runs/view/summaries.ts';

/** `round`: the open one; of a run that is over the last one. */
export function Progress({ round, rounds, status }: Pick<RunSummary, 'round' | 'rounds' | 'status'>) {
  if (rounds === 0) return <p className="hint">It waits for its owners.</p>;
  const open = status === 'running' || status === 'paused';
  const words = open ? `round ${round} of ${rounds}` : `${round} of ${rounds} rounds`;
  return (
    <div className="progress">
      <progress value={open ? round - 1 : round} max={rounds} aria-label="Rounds" />
      <span className="hint">{words}</span>
    </div>
  );
}
