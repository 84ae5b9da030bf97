/**
 * The plan of a run: everything the round machine decides by, fixed when the run is created and written as the journal's
 * first event. Plain JSON; big data by digest. It knows no recipe and no files.
 */

import { HeadwaterError } from '../base/errors.ts';
import type { TrainableTensor } from '../tuning/kind.ts';
import { type FixedPointPlan, planFixedPoint } from './fixed-point.ts';
import type { BoundMethod } from './method.ts';
import { planWeights, type Weighting } from './weights.ts';

export interface OwnerCounts {
  readonly owner: string;
  readonly numExamples: number;
  readonly numTokens: number;
}

export interface OwnerPlan extends OwnerCounts {
  /** Positive integer. */
  readonly aggregationWeight: number;
}

/** A baseline trained beside the federation: one uninterrupted training on the pooled data of some owners. */
export interface ArmPlan {
  readonly id: string;
  readonly owners: readonly string[];
  readonly steps: number;
}

export interface EarlyStopping {
  readonly patienceRounds: number;
  readonly minDelta: number;
}

export interface RunPlan {
  readonly seed: number;
  /** Sorted by name. */
  readonly owners: readonly OwnerPlan[];
  readonly weightRoundingError: number;
  readonly tensors: readonly TrainableTensor[];
  readonly baseModel: string;
  /** Digest of the params that everything starts from. */
  readonly initialParams: string;
  readonly method: { readonly kind: string };
  readonly rounds: number;
  readonly cohortSize: number;
  readonly quorum: number;
  readonly localSteps: number;
  readonly weighting: Weighting;
  readonly serverLearningRate: number;
  readonly fixedPoint: FixedPointPlan;
  readonly earlyStopping: EarlyStopping | null;
  readonly keepBest: boolean;
  readonly arms: readonly ArmPlan[];
  /** Which evaluations there are: validation every so many rounds (0 = never), test at the end. */
  readonly validateEveryRounds: number;
  readonly test: boolean;
}

export interface PlanInput
  extends Omit<RunPlan, 'owners' | 'weightRoundingError' | 'fixedPoint' | 'cohortSize' | 'quorum'> {
  readonly owners: readonly OwnerCounts[];
  /** Omitted: all owners. */
  readonly cohortSize?: number | undefined;
  /** Omitted: the cohort. */
  readonly quorum?: number | undefined;
  readonly fixedPoint: { readonly fractionBits: number; readonly range: number };
}

/** Throws RECIPE_INVALID (unmet needs, all together) and AGGREGATION_OVERFLOW. */
export function createPlan(input: PlanInput, method: BoundMethod): RunPlan {
  const cohortSize = input.cohortSize ?? input.owners.length;
  const quorum = input.quorum ?? cohortSize;
  const facts = {
    numOwners: input.owners.length,
    cohortSize,
    quorum,
    rounds: input.rounds,
    tensors: input.tensors,
  };
  const mistakes = [...generalMistakes(input, cohortSize, quorum), ...method.preconditions(facts)];
  if (mistakes.length > 0)
    throw new HeadwaterError('RECIPE_INVALID', `the run cannot start: ${mistakes.join('; ')}`, {
      hint: 'Change the federation part of the recipe.',
    });
  const fixedPoint = planFixedPoint(input.tensors, input.fixedPoint);
  const owners = [...input.owners].sort((a, b) => (a.owner < b.owner ? -1 : 1));
  const counts = owners.map((owner) => countOf(owner, input.weighting));
  const { weights, maxRelativeError } = planWeights(counts, cohortSize, fixedPoint.maxTotalWeight);
  return {
    ...input,
    owners: owners.map((owner, i) => ({ ...owner, aggregationWeight: weights[i]! })),
    weightRoundingError: maxRelativeError,
    cohortSize,
    quorum,
    fixedPoint,
  };
}

function countOf(owner: OwnerCounts, weighting: Weighting): number {
  if (weighting === 'uniform') return 1;
  return weighting === 'tokens' ? owner.numTokens : owner.numExamples;
}

function generalMistakes(input: PlanInput, cohortSize: number, quorum: number): string[] {
  const mistakes: string[] = [];
  if (input.owners.length === 0) mistakes.push('no owner has training examples');
  if (cohortSize > input.owners.length)
    mistakes.push(`federation.cohortSize is ${cohortSize}, but there are ${input.owners.length} owners`);
  if (quorum > cohortSize) mistakes.push(`federation.quorum is ${quorum}, but the cohort is ${cohortSize}`);
  const selects = input.earlyStopping !== null || input.keepBest;
  if (selects && input.validateEveryRounds === 0)
    mistakes.push('federation.earlyStopping and keepBest need validation data');
  return mistakes;
}
