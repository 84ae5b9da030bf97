/** From a recipe and what is to be done to the options of a training: the same for virtual and for real clients. */

import type { LocalEpochs, RunPlan } from '../federation/plan.ts';
import { isRealigned } from '../federation/realign.ts';
import type { Recipe } from '../recipe/schema.ts';
import type { TrainOptions } from '../training/engine.ts';
import type { ServerTraining } from './jobs.ts';

export type TrainingAmounts = Pick<TrainOptions, 'steps' | 'stepOffset' | 'totalSteps'>;

/** For a plan: undefined where all owners take the same number of steps. */
export function localEpochsOf({
  federation,
  training,
}: Pick<Recipe, 'federation' | 'training'>): LocalEpochs | undefined {
  const { localEpochs: epochs } = federation;
  return epochs === undefined ? undefined : { epochs, batchSize: training.batchSize };
}

export function trainingOptions(
  { training, data }: Pick<Recipe, 'training' | 'data'>,
  { steps, stepOffset, totalSteps }: TrainingAmounts,
  seedPath: readonly (string | number)[],
): TrainOptions {
  const { optimizer, schedule, batchSize, microBatchSize = batchSize, maxGradNorm } = training;
  return {
    optimizer,
    schedule,
    batchSize,
    microBatchSize,
    ...(maxGradNorm === undefined ? {} : { maxGradNorm }),
    maxLength: data.maxLength,
    packing: data.packing,
    steps,
    stepOffset,
    totalSteps,
    seedPath,
  };
}

/** Of a server that realigns what a round gave; undefined: not in this round. */
export function realignment(
  recipe: Pick<Recipe, 'training' | 'data'>,
  plan: Pick<RunPlan, 'seed' | 'rounds' | 'realign'>,
  round: number,
): ServerTraining | undefined {
  const { seed, realign } = plan;
  if (realign === undefined || !isRealigned(plan, round)) return undefined;
  const { steps, learningRate = recipe.training.optimizer.learningRate } = realign;
  const amounts = { steps, stepOffset: 0, totalSteps: steps };
  const options = trainingOptions(recipe, amounts, [seed, 'server', round, 'realign']);
  const schedule = { kind: 'constant', warmupSteps: 0, minFactor: 0 } as const;
  return { seed, options: { ...options, schedule, optimizer: { ...options.optimizer, learningRate } } };
}

/** Of a server in a round (from 1), for methods whose server trains: at the clients' learning rate. */
export function serverTraining(
  recipe: Pick<Recipe, 'training' | 'data'>,
  { seed, rounds, localSteps: steps }: Pick<RunPlan, 'seed' | 'rounds' | 'localSteps'>,
  round: number,
): ServerTraining {
  const amounts = { steps, stepOffset: (round - 1) * steps, totalSteps: rounds * steps };
  return { seed, options: trainingOptions(recipe, amounts, [seed, 'server', round, 'train']) };
}
