/**
 * Keeps many answers with large bodies from holding up the short ones: when a round begins, a whole cohort fetches its params
 * at once, and whoever only asks for its task would wait behind all of them. It knows nothing of requests.
 */

import { setImmediate as nextTurn } from 'node:timers/promises';

/** Resolves when it is one's turn: for at most `perTurn` in each turn of the event loop, in the order in which they came. */
export type TakeTurn = () => Promise<void>;

export function turns(perTurn: number): TakeTurn {
  const waiting: (() => void)[] = [];
  let taken = 0;
  let resting = false;

  async function rest(): Promise<void> {
    resting = true;
    while (taken > 0) {
      await nextTurn();
      const next = waiting.splice(0, perTurn);
      taken = next.length;
      for (const go of next) go();
    }
    resting = false;
  }

  return () => {
    const free = taken < perTurn && waiting.length === 0;
    if (!free) return new Promise((resolve) => waiting.push(resolve));
    taken += 1;
    if (!resting) void rest();
    return Promise.resolve();
  };
}
