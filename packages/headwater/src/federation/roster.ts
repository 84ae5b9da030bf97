/** Who takes part: pure changes to the roster of a run. It opens and closes no rounds. */

import { HeadwaterError } from '../base/errors.ts';
import type { OwnerCounts } from './plan.ts';
import { countOf, type RunPlan, weightsOf } from './plan.ts';
import { entryOf, type RosterEntry, type RunState } from './state.ts';

export type Roster = RunState['roster'];

export function initialRoster({ owners }: RunPlan): Roster {
  return Object.fromEntries(
    owners.map((plan): [string, RosterEntry] => [
      plan.owner,
      { ...plan, standing: 'active', offences: 0, lastRound: 0 },
    ]),
  );
}

/** Of a roster, which never changes: sorting thousands of names for every update would be most of a round's work. */
const activeIn = new WeakMap<Roster, readonly string[]>();

/** Names of the owners that may be asked, sorted. */
export function activeOwners({ roster }: Pick<RunState, 'roster'>): readonly string[] {
  const known = activeIn.get(roster);
  if (known !== undefined) return known;
  const names = Object.values(roster)
    .filter(({ standing }) => standing === 'active')
    .map(({ owner }) => owner)
    .sort();
  activeIn.set(roster, names);
  return names;
}

export function isActive({ roster }: Pick<RunState, 'roster'>, owner: string): boolean {
  return entryOf(roster, owner)?.standing === 'active';
}

/**
 * With the owner in it (again) and everybody's weight planned anew. A quarantine outlasts leaving and joining.
 * Throws AGGREGATION_OVERFLOW when the exact sums cannot hold the new counts: ask before the event is written.
 */
export function rosterWith(state: Pick<RunState, 'plan' | 'roster'>, counts: OwnerCounts): Roster {
  checkPopulation(state, counts);
  const known = entryOf(state.roster, counts.owner);
  const entry: RosterEntry = {
    ...counts,
    aggregationWeight: 1,
    standing: isExcluded(state.plan, known?.offences ?? 0) ? 'quarantined' : 'active',
    offences: known?.offences ?? 0,
    lastRound: known?.lastRound ?? 0,
    // Leaving and coming back gives no budget back.
    ...(known?.participations === undefined ? {} : { participations: known.participations }),
  };
  const others = Object.values(state.roster).filter(({ owner }) => owner !== counts.owner);
  if (state.plan.secureAggregation !== undefined)
    return {
      ...state.roster,
      [counts.owner]: { ...entry, aggregationWeight: settledWeight(state.plan, entry) },
    };
  const { weights } = weightsOf([...others, entry], state.plan);
  const changed: Record<string, RosterEntry> = {
    [counts.owner]: { ...entry, aggregationWeight: weights.at(-1)! },
  };
  // Mostly only the newcomer's weight is new: the others stay the objects they are.
  for (const [i, other] of others.entries())
    if (other.aggregationWeight !== weights[i])
      changed[other.owner] = { ...other, aggregationWeight: weights[i]! };
  return { ...state.roster, ...changed };
}

/** δ and the probability of a draw rely on it. Throws PRIVACY_INVALID. */
function checkPopulation({ plan, roster }: Pick<RunState, 'plan' | 'roster'>, { owner }: OwnerCounts): void {
  const { population } = plan.privacy ?? {};
  if (population === undefined || entryOf(roster, owner) !== undefined) return;
  if (Object.keys(roster).length < population) return;
  throw new HeadwaterError(
    'PRIVACY_INVALID',
    `the run is for ${population} owners, and has them: "${owner}" is one more`,
    {
      hint: 'Its privacy relies on privacy.clientLevel.population; start a new run with a larger one.',
    },
  );
}

/**
 * Where updates are weighted before they are masked, the weights of others stay: a newcomer's is on their scale, and no more than
 * the sum has room for.
 */
function settledWeight(plan: RunPlan, counts: OwnerCounts): number {
  const { owners, weighting, cohortSize, fixedPoint } = plan;
  const total = owners.reduce((sum, owner) => sum + countOf(owner, weighting), 0);
  const weights = owners.reduce((sum, { aggregationWeight }) => sum + aggregationWeight, 0);
  const wanted = Math.round((countOf(counts, weighting) * weights) / total);
  const known = owners.find(({ owner }) => owner === counts.owner)?.aggregationWeight ?? 0;
  const largest = owners.map((owner) => owner.aggregationWeight).sort((a, b) => b - a);
  const counted = largest.slice(0, cohortSize);
  const room = fixedPoint.maxTotalWeight - counted.reduce((sum, weight) => sum + weight, 0);
  // Whoever takes the place of one of the largest may weigh as much as the last of them, and its part of the room.
  const most = Math.max(known, (counted.at(-1) ?? 1) + Math.floor(room / cohortSize));
  return Math.max(1, Math.min(most, wanted));
}

export function withEntry(state: RunState, owner: string, change: Partial<RosterEntry>): RunState {
  const entry = entryOf(state.roster, owner);
  if (entry === undefined) return state;
  return { ...state, roster: { ...state.roster, [owner]: { ...entry, ...change } } };
}

/** One more update that an owner answered with, in runs where each costs it or its examples something. */
export function withTraining(state: RunState, owner: string): RunState {
  const { privacy, examplePrivacy } = state.plan;
  if (examplePrivacy === undefined && privacy?.trust === undefined) return state;
  const participations = (entryOf(state.roster, owner)?.participations ?? 0) + 1;
  return withEntry(state, owner, { participations });
}

/** Pardoned owners begin at no offence again. */
function isExcluded({ pace: { quarantineAfter } }: RunPlan, offences: number): boolean {
  return quarantineAfter !== null && offences >= quarantineAfter;
}

/** One more rejected update; too many are the end of being asked. */
export function withOffence(state: RunState, owner: string): RunState {
  const entry = entryOf(state.roster, owner);
  if (entry === undefined) return state;
  const offences = entry.offences + 1;
  const out = isExcluded(state.plan, offences) && entry.standing === 'active';
  return withEntry(state, owner, { offences, ...(out ? { standing: 'quarantined' as const } : {}) });
}
