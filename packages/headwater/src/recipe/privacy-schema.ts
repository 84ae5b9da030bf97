/** The recipe's section on differential privacy: whose data are protected, who adds the noise, how much. */

import { z } from 'zod';
import { secureAggregation } from './secure-aggregation-schema.ts';

const positiveInt = z.int().positive();
const fraction = z.number().min(0).max(1);
const probability = z.number().gt(0).lt(1);

const clip = z.strictObject({
  kind: z
    .enum(['fixed', 'adaptive'])
    .default('fixed')
    .describe(
      'adaptive (Andrew et al. 2021): after each round the norm moves towards a quantile of the updates’ norms, by a noisy count of those that were not clipped.',
    ),
  norm: z
    .number()
    .positive()
    .describe(
      'C: an update, all its tensors together, is scaled down to this 2-norm by its client, and again by the server if it is longer. adaptive: where it begins.',
    ),
  targetQuantile: fraction
    .optional()
    .describe('adaptive: the share of updates that shall stay unclipped. Default: 0.5.'),
  learningRate: z.number().positive().optional().describe('adaptive: how fast the norm moves. Default: 0.2.'),
  countNoise: z
    .number()
    .positive()
    .optional()
    .describe(
      'adaptive: standard deviation of the noise on the count; more than half the noiseMultiplier. Default: cohortSize / 20.',
    ),
});

const clientLevel = z.strictObject({
  trust: z
    .enum(['central', 'distributed', 'local'])
    .default('central')
    .describe(
      'Who adds the noise. central: the coordinator, which sees the clipped updates. distributed: each client a part of it, before secureAggregation masks its update, such that the parts of any quorum are enough; nobody sees an update or a sum without noise. local: each client all of it, so that its update alone is protected from everybody; takes far more noise.',
    ),
  mechanism: z
    .enum(['gaussian', 'tree'])
    .default('gaussian')
    .describe(
      'Which noise. gaussian: every release has its own, and costs what it has. tree (DP-FTRL, Kairouz et al. 2021): the params after t rounds carry the noise of as many nodes of a binary tree as t has ones in binary, in place of t; each owner is counted at most once in a tree, and a tree costs it ⌈log₂(treeRounds + 1)⌉ releases. For many owners who each come seldom; needs trust: central, a method that sends the same tensors in each round and whose server steps element by element (momentum, Adam …), and no sampling.',
    ),
  treeRounds: positiveInt
    .optional()
    .describe(
      'tree: releases of one tree; then a new one begins, and owners may be counted again. At most population / cohortSize. Default: all rounds; with population as many as it is enough for.',
    ),
  neighbours: z
    .enum(['zero-out', 'replace-one', 'add-remove'])
    .optional()
    .describe(
      'Which two runs must look alike. zero-out: those in which one client sends what it sends, and zeros. replace-one: those in which it sends anything else, at twice the distance. add-remove: those with one client more or less. Default: replace-one with trust: local, add-remove with sampling: poisson, where nothing else is promised; zero-out with the others.',
    ),
  delta: probability
    .optional()
    .describe(
      'δ: the probability with which ε need not hold; less than one in the number of owners. A deployment needs it; a simulation claims nothing.',
    ),
  targetEpsilon: z
    .number()
    .positive()
    .optional()
    .describe(
      'The budget of each owner: it is not asked again when one more release would cost it more than this ε, and the run ends when too few owners are left. Default: maxParticipations alone ends it.',
    ),
  maxParticipations: positiveInt
    .optional()
    .describe(
      'Releases that one owner may take part in; with mechanism: tree, trees. Default: rounds, or what targetEpsilon allows.',
    ),
  sampling: z
    .enum(['none', 'poisson'])
    .default('none')
    .describe(
      'How the owners of a round are chosen, as the figure counts it. none: in any way at all, each release costs its members in full. poisson: the coordinator flips a secret coin for every active owner, with probability cohortSize / population; rounds may have more or fewer owners than cohortSize or none, the sum is divided by cohortSize, and every release costs every owner a little, drawn or not (amplification by sampling). Holds against those who do not learn who was drawn. Needs trust: central and population.',
    ),
  population: positiveInt
    .optional()
    .describe(
      'How many owners there are: those of a simulation exactly, of a deployment at most. δ is at most one in as many. Default: as many as the run has.',
    ),
  clip: clip.describe('What bounds the part of a client.'),
  noiseMultiplier: z
    .number()
    .nonnegative()
    .optional()
    .describe(
      'z: the sum of a round gets Gaussian noise of standard deviation z · C in every coordinate and is divided by cohortSize, however many answered. 0: clipping alone, which promises nothing. Default: the least that keeps targetEpsilon over maxParticipations releases.',
    ),
});

const exampleLevel = z.strictObject({
  neighbours: z
    .enum(['add-remove'])
    .default('add-remove')
    .describe('Which two runs must look alike. add-remove: those of an owner with one example more or less.'),
  sampling: z
    .enum(['poisson'])
    .default('poisson')
    .describe(
      'How a step takes its examples. poisson: each on its own with the same probability, secretly; a batch may be empty.',
    ),
  samplingRate: z
    .number()
    .gt(0)
    .max(1)
    .optional()
    .describe('q: that probability. Default: training.batchSize / the owner’s examples.'),
  clip: z
    .strictObject({
      norm: z.number().positive().describe('C: the gradient of an example, over all trained tensors.'),
    })
    .describe('What bounds the part of an example.'),
  noiseMultiplier: z
    .number()
    .nonnegative()
    .optional()
    .describe(
      'z: the sum of a step’s gradients gets Gaussian noise of standard deviation z · C and is divided by the expected batch. 0: none, which promises nothing. Default: for each owner the least that keeps targetEpsilon over all rounds.',
    ),
  targetEpsilon: z
    .number()
    .positive()
    .optional()
    .describe(
      'The budget of each example. With noiseMultiplier: an owner is not asked again when one more training would cost its examples more.',
    ),
  delta: probability
    .optional()
    .describe(
      'δ: the probability with which ε need not hold; at most one in the number of an owner’s examples. A deployment needs it; a simulation claims nothing.',
    ),
});

export const privacy = z.strictObject({
  secureAggregation: secureAggregation
    .optional()
    .describe(
      'What one client sent is hidden from the coordinator, which learns sums over at least `federation.quorum` updates. Hides no sum: that is for clientLevel. Needs a method whose server only sums, and no compression.',
    ),
  clientLevel: clientLevel
    .optional()
    .describe(
      'What one client sent, in all its rounds, is hidden in the noise of what the server releases. Needs weighting: uniform and a method whose server only sums.',
    ),
  exampleLevel: exampleLevel
    .optional()
    .describe(
      'Each single example is hidden in noise that its owner adds to every local step (DP-SGD), from everybody else, the coordinator included. Needs a method of whose clients nothing leaves but what such steps made.',
    ),
});
