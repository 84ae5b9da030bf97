/**
 * How often the model finds the chosen answer likelier than the rejected one: Σ log p(chosen) > Σ log p(rejected), or by token
 * (`lengthNormalised`), as rewards are compared in Rafailov et al. 2023 (arXiv:2305.18290) without a reference model.
 */

import { z } from 'zod';
import type { ExampleScore } from '../engine.ts';
import { type EvaluationTask, meanVerdict, pairRequests, requireSome } from './task.ts';

const options = z.strictObject({
  lengthNormalised: z
    .boolean()
    .default(false)
    .describe('Compare log-likelihoods by token instead of their sums.'),
});

export const preference: EvaluationTask<z.infer<typeof options>> = {
  id: 'preference',
  summary: 'share of pairs whose chosen answer is likelier than the rejected one',
  options,
  metrics: [
    { id: 'preferenceAccuracy', summary: 'share of pairs, 0 to 1; equals count half', higherIsBetter: true },
    {
      id: 'preferenceMarginLogprob',
      summary: 'mean of log p(chosen) − log p(rejected), nats',
      higherIsBetter: true,
    },
  ],
  requests: pairRequests,
  judge({ scores }, _, { lengthNormalised }) {
    const [chosen, rejected] = scores.map(({ nll, numTargets }: ExampleScore) =>
      lengthNormalised ? -nll / Math.max(1, numTargets) : -nll,
    );
    const margin = chosen! - rejected!;
    return { margin, right: margin === 0 ? 0.5 : Number(margin > 0) };
  },
  summarise(scored) {
    requireSome(scored, 'preference');
    return {
      preferenceAccuracy: meanVerdict(scored, 'right'),
      preferenceMarginLogprob: meanVerdict(scored, 'margin'),
    };
  },
  chance: () => 0.5,
};
