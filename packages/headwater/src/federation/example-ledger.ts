/**
 * What the trainings of a run have cost the examples of its owners, where each is protected for itself: an owner is charged for every
 * update that it answered with. A pure function of the journal.
 */

import type { PrivacyGuarantee } from '../privacy/accounting/account.ts';
import {
  type ExampleMechanism,
  type ExamplePrivacy,
  exampleGuarantee,
  exampleMechanism,
  renyiBound,
} from './example-privacy.ts';
import { type OwnerCounts, type RunPlan, stepsOf } from './plan.ts';
import type { RunState } from './state.ts';

/** Of an owner of the run. */
export function mechanismOf(
  plan: Pick<RunPlan, 'localSteps' | 'localEpochs' | 'rounds'>,
  privacy: ExamplePrivacy,
  owner: Pick<OwnerCounts, 'numExamples'>,
): ExampleMechanism {
  return exampleMechanism(privacy, owner, { steps: stepsOf(plan, owner), rounds: plan.rounds });
}

/** What the owner with the largest ε has spent, and who it is; undefined where nothing is claimed. */
export function mostSpentOnExamples(
  { plan, roster }: Pick<RunState, 'plan' | 'roster'>,
  trainingsOf: (owner: string) => number = (owner) => roster[owner]?.participations ?? 0,
): { readonly owner: string; readonly guarantee: PrivacyGuarantee } | undefined {
  const { examplePrivacy } = plan;
  const delta = examplePrivacy?.delta;
  if (examplePrivacy === undefined || delta === undefined) return undefined;
  const rough = Object.values(roster)
    .map((entry) => {
      const mechanism = mechanismOf(plan, examplePrivacy, entry);
      const trainings = trainingsOf(entry.owner);
      return { owner: entry.owner, mechanism, trainings, bound: renyiBound(mechanism, delta, trainings) };
    })
    .sort((a, b) => b.bound - a.bound || (a.owner < b.owner ? -1 : 1));
  let most: { readonly owner: string; readonly guarantee: PrivacyGuarantee } | undefined;
  // The finer accountant only where the cheap bound could still be the largest.
  for (const { owner, mechanism, trainings, bound } of rough) {
    if (most !== undefined && bound <= most.guarantee.epsilon) break;
    const guarantee = exampleGuarantee(mechanism, delta, trainings);
    if (most === undefined || guarantee.epsilon > most.guarantee.epsilon) most = { owner, guarantee };
  }
  return most;
}
