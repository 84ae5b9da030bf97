/**
 * Keeps many answers with large bodies from holding up the short ones: when a round begins, a whole cohort fetches its params
 * at once, and whoever only asks for its task would wait behind all of them. It knows nothing of requests.
 */

import { setImmediate as nextTurn } from 'node:timers/promises';

/** Resolves when it is one's turn: for at most `perTurn` in each turn of the event loop, in the order in which they came. */
export type TakeTurn = () => Promise<void>;

export function turns(perTurn: number): TakeTurn {
  const waiting: (() => void)[] = [];
  /** In this turn of the event loop. While others wait, all of it is. */
  let taken = 0;

  async function passOn(): Promise<void> {
    while (taken > 0) {
      await nextTurn();
      const next = waiting.splice(0, perTurn);
      taken = next.length;
      for (const go of next) go();
    }
  }

  return () => {
    if (taken === perTurn) return new Promise((resolve) => waiting.push(resolve));
    taken += 1;
    if (taken === 1) void passOn();
    return Promise.resolve();
  };
}
