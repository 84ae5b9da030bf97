/** Keys of the recipe about what may be released: a gate on a validation metric, a vote of the owners. */

import { z } from 'zod';

export const gate = z.strictObject({
  metric: z
    .string()
    .describe(
      'Of the validation: a metric of one of the tasks, or loss. `refusalRate` guards what a model refuses.',
    ),
  maxDrop: z
    .number()
    .nonnegative()
    .default(0)
    .describe(
      'A round whose metric is worse by more than this than the best released before (or the beginning) is withheld; the release before it stays.',
    ),
  minimum: z
    .number()
    .optional()
    .describe(
      'A round whose metric is below it is withheld, whatever was released before; many small losses cannot pass it. For metrics that should be high.',
    ),
  maximum: z.number().optional().describe('The same for metrics that should be low, as loss: above it.'),
});

export const releaseVote = z.strictObject({
  weights: z
    .enum(['equal', 'examples', 'reputation'])
    .default('equal')
    .describe(
      'What an owner’s vote counts. reputation: (s + 1) / (s + u + 2), with s rounds in which an update of it counted and that were not withheld, u updates that were refused or put aside.',
    ),
  threshold: z
    .number()
    .gt(0)
    .max(1)
    .default(0.5)
    .describe(
      'Share of the weight of all who may vote that has to be for a release. Who does not answer is not for it.',
    ),
});
