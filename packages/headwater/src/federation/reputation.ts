/**
 * What an owner's contributions so far make it look like: a beta reputation (Jøsang & Ismail 2002), from facts of the journal alone.
 *
 *   reputation = (s + 1) / (s + u + 2)
 *
 * s: rounds in which an update of it counted and that were not withheld from release; u: updates of it that were refused when they
 * came, or put aside by the checks of a whole round. Nobody is banned for it: it is a weight in votes and a figure for people.
 */

import type { RunState } from './state.ts';

export interface OwnerReputation {
  /** s */
  readonly counted: number;
  /** When they came. With `excluded`, put aside with their round: u. */
  readonly refused: number;
  readonly excluded: number;
  /** In (0, 1); ½ of whom nothing is known. */
  readonly reputation: number;
}

/** By owner. `withheld`: rounds that were not released. */
export function reputations(
  { roster, closed }: Pick<RunState, 'roster' | 'closed'>,
  withheld: ReadonlySet<number>,
): Readonly<Record<string, OwnerReputation>> {
  const good = closed.filter(({ round }) => !withheld.has(round));
  const counted = timesNamed(good.map(({ members }) => Object.keys(members)));
  const excluded = timesNamed(closed.map((round) => round.excluded ?? []));
  return Object.fromEntries(
    Object.values(roster).map(({ owner, offences }) => [
      owner,
      reputationOf(counted.get(owner) ?? 0, offences, excluded.get(owner) ?? 0),
    ]),
  );
}

function timesNamed(rounds: readonly (readonly string[])[]): ReadonlyMap<string, number> {
  const times = new Map<string, number>();
  for (const owner of rounds.flat()) times.set(owner, (times.get(owner) ?? 0) + 1);
  return times;
}

function reputationOf(counted: number, refused: number, excluded: number): OwnerReputation {
  const reputation = (counted + 1) / (counted + refused + excluded + 2);
  return { counted, refused, excluded, reputation };
}
