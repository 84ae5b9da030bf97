/** How long a client took over its training, as far as anybody saw. It decides nothing. */

import type { RunEvent } from '../federation/events.ts';

/** Simulated clients are timed where they train; of real ones it is seen how long they took to answer. Null: nobody looked. */
export function trainingMs(
  { observed }: Extract<RunEvent, { type: 'update-received' }>,
  simulated: boolean,
): number | null {
  const { answeredMs, tookMs } = (observed ?? {}) as {
    readonly answeredMs?: number;
    readonly tookMs?: number;
  };
  return (simulated ? tookMs : answeredMs) ?? null;
}
