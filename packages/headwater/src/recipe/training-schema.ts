/** The section `training` of a recipe: what an owner does with its examples in a round. */

import { z } from 'zod';
import { fraction, positiveInt, record } from './schema-parts.ts';

const optimizer = z.strictObject({
  kind: z.enum(['adamw', 'sgd']).default('adamw'),
  learningRate: z.number().positive(),
  beta1: fraction.default(0.9).describe('AdamW.'),
  beta2: fraction.default(0.999).describe('AdamW.'),
  epsilon: z.number().positive().default(1e-8).describe('AdamW.'),
  weightDecay: z.number().nonnegative().default(0).describe('Decoupled from the gradient.'),
  momentum: fraction.default(0).describe('SGD.'),
});

const schedule = z.strictObject({
  kind: z.enum(['constant', 'linear', 'cosine']).default('constant').describe('Spans all rounds.'),
  warmupSteps: z.int().nonnegative().default(0),
  minFactor: fraction
    .default(0)
    .describe('Share of the learning rate left at the end of linear and cosine decay.'),
});

export const training = z.strictObject({
  objective: record
    .optional()
    .describe(
      'What is minimised. Default: language-modelling; preference objectives learn from pairs of answers.',
    ),
  optimizer: optimizer.describe('Starts fresh on each client in each round.'),
  schedule: schedule.prefault({}).describe('Of the learning rate.'),
  batchSize: positiveInt.describe('Examples per optimizer step.'),
  microBatchSize: positiveInt
    .optional()
    .describe('Examples per forward and backward pass; gradients are accumulated. Default: batchSize.'),
  recompute: z
    .boolean()
    .default(false)
    .describe(
      'Compute the inside of each block again in the backward pass instead of keeping it: the same bits, less memory, about a third more time.',
    ),
  maxGradNorm: z
    .number()
    .positive()
    .optional()
    .describe('Clip the global norm of the gradient to this. Default: no clipping.'),
});
