/**
 * The baselines of a recipe and their budgets, so that a comparison means something. Federated training sees
 * rounds · cohort · localSteps · batchSize examples. Centralised sees as many, from the pooled data, in as many optimizer
 * steps of the same batch size: an upper bound, since its steps are sequential. Local-only gives each owner alone the
 * steps that the federation gave it on average, rounds · localSteps · cohort / owners: together again as many.
 */

import type { ArmPlan } from '../federation/plan.ts';

export const CENTRALISED = 'centralised';
export const LOCAL_ONLY = 'local-only/';

export interface BudgetInput {
  readonly owners: readonly string[];
  readonly rounds: number;
  readonly cohortSize: number;
  /** Of a client in a round, on average. */
  readonly localSteps: number;
  readonly localOnly: boolean;
  readonly centralised: boolean;
}

export function planArms({
  owners,
  rounds,
  cohortSize,
  localSteps,
  localOnly,
  centralised,
}: BudgetInput): ArmPlan[] {
  const sorted = [...owners].sort();
  const total = Math.round(rounds * cohortSize * localSteps);
  const alone = Math.max(Math.ceil(localSteps), Math.round(total / owners.length));
  return [
    ...(centralised ? [{ id: CENTRALISED, owners: sorted, steps: total }] : []),
    ...(localOnly ? sorted.map((owner) => ({ id: LOCAL_ONLY + owner, owners: [owner], steps: alone })) : []),
  ];
}
