/** From a recipe and what is to be done to the options of a training: the same for virtual and for real clients. */

import type { Recipe } from '../recipe/schema.ts';
import type { TrainOptions } from '../training/engine.ts';

export type TrainingAmounts = Pick<TrainOptions, 'steps' | 'stepOffset' | 'totalSteps'>;

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
