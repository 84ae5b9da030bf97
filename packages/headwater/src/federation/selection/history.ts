/** What earlier rounds say about each owner. Pure; it chooses nobody. */

import type { Candidate, Observation, SelectionContext, Trained } from './selection.ts';

/** How often an owner was counted, and what was seen the last time. */
export interface Past {
  readonly times: number;
  /** From 1. */
  readonly lastRound: number;
  readonly last: Observation;
}

/** By owner; who was never counted is not in it. */
export function pastOf(history: readonly Trained[]): ReadonlyMap<string, Past> {
  const past = new Map<string, Past>();
  for (const [index, trained] of history.entries())
    for (const [owner, last] of Object.entries(trained))
      past.set(owner, { times: (past.get(owner)?.times ?? 0) + 1, lastRound: index + 1, last });
  return past;
}

/**
 * The loss that each candidate reported last. Never counted: infinite, so that everybody comes to be known. Not told: the
 * mean of the told ones, so that silence gains nothing.
 */
export function lastLosses({ candidates, history }: SelectionContext): ReadonlyMap<string, number> {
  const past = pastOf(history);
  const lossOf = ({ owner }: Candidate) => past.get(owner)?.last.loss ?? undefined;
  const told = candidates.map(lossOf).filter((loss) => loss !== undefined);
  const mean = told.reduce((sum, loss) => sum + loss, 0) / Math.max(1, told.length);
  return new Map(
    candidates.map((candidate) => [
      candidate.owner,
      past.has(candidate.owner) ? (lossOf(candidate) ?? mean) : Number.POSITIVE_INFINITY,
    ]),
  );
}
