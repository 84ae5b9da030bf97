/**
 * What a run has spent: each release is a row in its journal, in the same entry as the released params, and ε is a pure function of
 * the rows, so a replay gives the same. Accounted without amplification by sampling: the cohorts follow from a seed that everybody
 * has. For each owner, over the releases that it took part in (a participation cap). Cohorts from secret coin flips are amplified, and
 * every release counts for every owner, drawn or not.
 */

import {
  type PrivacyGuarantee,
  type PrivacyQuestion,
  privacyGuarantee,
} from '../privacy/accounting/account.ts';
import { calibrateNoise } from '../privacy/accounting/calibrate.ts';
import type { PrivacySteps } from '../privacy/accounting/steps.ts';
import { treeSteps } from '../privacy/accounting/tree.ts';
import type { ClientPrivacy } from './client-privacy.ts';
import { mechanismOf } from './example-ledger.ts';
import type { RunState } from './state.ts';

/** What a release is accounted as; `trust` as the plan has it. */
type Mechanism = Pick<ClientPrivacy, 'noiseMultiplier' | 'trust' | 'tree' | 'poisson'>;

/**
 * Local: any two updates of a client must look alike, at twice the distance. Distributed: a sum of discrete parts is bounded by its
 * Rényi divergence alone; that it is no Gaussian costs less than float64 can tell on the grids that a plan allows.
 */
function questionOf({
  trust,
  poisson,
}: Pick<ClientPrivacy, 'trust' | 'poisson'>): Pick<PrivacyQuestion, 'neighbours' | 'accountants'> {
  if (poisson !== undefined) return { neighbours: 'add-remove' };
  return {
    neighbours: trust === 'local' ? 'replace-one' : 'zero-out',
    ...(trust === 'distributed' ? { accountants: ['rdp'] } : {}),
  };
}

/** Releases that an owner is in: one each time that it takes part, the nodes above its leaf of a tree, or each draw it may be in. */
function stepsFor(
  { noiseMultiplier, tree, poisson }: Pick<Mechanism, 'noiseMultiplier' | 'tree' | 'poisson'>,
  participations: number,
): PrivacySteps {
  if (tree !== undefined) return treeSteps({ noiseMultiplier, leaves: tree.leaves, trees: participations });
  const sampling =
    poisson === undefined ? ({ kind: 'none' } as const) : { kind: 'poisson' as const, ...poisson };
  return { sampling, noiseMultiplier, steps: participations };
}

/** Of an owner that took part in so many releases, or trees. */
export function guaranteeFor(mechanism: Mechanism, delta: number, participations: number): PrivacyGuarantee {
  const releases = [stepsFor(mechanism, participations)];
  return privacyGuarantee({ releases, ...questionOf(mechanism), delta });
}

/** The most participations, up to `limit`, that cost no more than `targetEpsilon`. */
export function participationsWithin(
  mechanism: Mechanism,
  budget: { readonly delta: number; readonly targetEpsilon: number },
  limit: number,
): number {
  const affordable = (count: number) =>
    guaranteeFor(mechanism, budget.delta, count).epsilon <= budget.targetEpsilon;
  let [low, high] = [0, limit];
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (affordable(middle)) low = middle;
    else high = middle - 1;
  }
  return low;
}

/** The least z with which so many participations cost no more than `targetEpsilon`. Throws PRIVACY_INVALID. */
export function leastNoiseFor(
  mechanism: Omit<Mechanism, 'noiseMultiplier'>,
  budget: { readonly delta: number; readonly targetEpsilon: number },
  participations: number,
): number {
  const { noiseMultiplier: _, ...steps } = stepsFor({ ...mechanism, noiseMultiplier: 0 }, participations);
  return calibrateNoise({ ...budget, releases: [steps], ...questionOf(mechanism) }).noiseMultiplier;
}

/** What `guaranteeFor` counts: participations of the owner that took part most often, or all draws so far. */
export function countedReleases(state: Pick<RunState, 'plan' | 'roster' | 'closed'>): number {
  return state.plan.privacy?.poisson === undefined ? mostParticipations(state) : state.closed.length;
}

/** Of the owner that took part most often. */
export function mostParticipations({ roster }: Pick<RunState, 'roster'>): number {
  return Object.values(roster).reduce((most, { participations = 0 }) => Math.max(most, participations), 0);
}

/** Whether an owner's part of the budget is spent. */
export function isSpent({ plan, roster }: Pick<RunState, 'plan' | 'roster'>, owner: string): boolean {
  const { privacy, examplePrivacy } = plan;
  const entry = roster[owner];
  if (entry === undefined) return false;
  const { participations = 0 } = entry;
  if (privacy !== undefined && privacy.poisson === undefined && participations >= privacy.maxParticipations)
    return true;
  if (examplePrivacy?.targetEpsilon === undefined) return false;
  return participations >= mechanismOf(plan, examplePrivacy, entry).maxTrainings;
}
