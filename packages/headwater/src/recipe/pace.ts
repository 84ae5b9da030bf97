/**
 * From a recipe to the parts of a deployment's plan that say how many owners are asked, counted and waited for. Pure: the
 * coordinator, its tests and the fault simulation plan by the same function.
 */

import type { Pace } from '../federation/plan.ts';
import type { Recipe } from './schema.ts';

type PaceRecipe = Pick<Recipe, 'federation' | 'deployment'>;

/** Owners that must have joined before the plan is made. */
export function minOwnersOf({ federation, deployment }: PaceRecipe): number {
  const { minOwners, owners } = deployment;
  const { mode, cohortSize, quorum } = federation;
  const needed = mode.kind === 'buffered' ? mode.bufferSize : cohortSize;
  return minOwners ?? owners?.length ?? Math.max(needed ?? 2, quorum ?? 0);
}

/** Fewest updates that are ever added up: what owners are promised before anybody has joined. */
export function quorumOf(recipe: PaceRecipe): number {
  return deploymentSizes(recipe, minOwnersOf(recipe)).quorum;
}

/** `cohortSize` of the recipe, or all owners: how many train at once. */
export function paceOf({ federation, deployment }: PaceRecipe, cohortSize: number): Pace {
  const { mode, overSelection, maxUpdateNorm } = federation;
  return {
    mode: mode.kind,
    // 10 · 1.1 is a little more than 11 in binary.
    asked: Math.ceil(cohortSize * overSelection - 1e-9),
    belowQuorum: 'extend',
    deadlineMs: deployment.deadlineSeconds * 1000,
    evaluationDeadlineMs: deployment.evaluationDeadlineSeconds * 1000,
    quarantineAfter: deployment.quarantineAfter,
    maxUpdateNorm: maxUpdateNorm ?? null,
    maxStaleness: mode.kind === 'buffered' ? mode.maxStaleness : 0,
    stalenessExponent: mode.kind === 'buffered' ? mode.stalenessExponent : 0,
    evaluatedBy: 'owners',
  };
}

/** For `createPlan`: in buffered runs the buffer is what a cohort is in others. */
export function deploymentSizes(
  recipe: PaceRecipe,
  numOwners: number,
): { readonly cohortSize: number; readonly quorum: number; readonly pace: Pace } {
  const { mode, cohortSize: given, quorum } = recipe.federation;
  const training = given ?? numOwners;
  const cohortSize = mode.kind === 'buffered' ? (mode.bufferSize ?? training) : training;
  return { cohortSize, quorum: quorum ?? cohortSize, pace: paceOf(recipe, training) };
}
