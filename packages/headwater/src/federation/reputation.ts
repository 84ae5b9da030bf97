/**
 * What an owner's contributions so far make it look like: a beta reputation (Jøsang & Ismail 2002), from facts of the journal alone.
 *
 *   reputation = (s + 1) / (s + u + 2)
 *
 * s: rounds in which an update of it counted and that were not withheld from release; u: updates of it that were refused. Nobody is
 * banned for it: it is a weight in votes and a figure for people.
 */

import type { RunState } from './state.ts';

export interface OwnerReputation {
  /** s */
  readonly counted: number;
  /** u */
  readonly refused: number;
  /** In (0, 1); ½ of whom nothing is known. */
  readonly reputation: number;
}

/** By owner. `withheld`: rounds that were not released. */
export function reputations(
  { roster, closed }: Pick<RunState, 'roster' | 'closed'>,
  withheld: ReadonlySet<number>,
): Readonly<Record<string, OwnerReputation>> {
  const counted = new Map<string, number>();
  for (const { round, members } of closed) {
    if (withheld.has(round)) continue;
    for (const owner of Object.keys(members)) counted.set(owner, (counted.get(owner) ?? 0) + 1);
  }
  return Object.fromEntries(
    Object.values(roster).map(({ owner, offences }) => [
      owner,
      reputationOf(counted.get(owner) ?? 0, offences),
    ]),
  );
}

function reputationOf(counted: number, refused: number): OwnerReputation {
  return { counted, refused, reputation: (counted + 1) / (counted + refused + 2) };
}
