/** Loss = Σ −log p / number of targets (nats per token), perplexity = e^loss. */

import { z } from 'zod';
import { type EvaluationTask, requireSome, sumOf } from './task.ts';

const options = z.strictObject({});

export const perplexity: EvaluationTask<z.infer<typeof options>> = {
  id: 'perplexity',
  summary: 'mean loss per supervised token and its exponential',
  options,
  metrics: [
    { id: 'loss', summary: 'nats per supervised token', higherIsBetter: false },
    { id: 'perplexity', summary: 'e to the loss', higherIsBetter: false },
  ],
  summarise(scored) {
    requireSome(scored, 'perplexity');
    const loss = sumOf(scored, (score) => score.nll) / sumOf(scored, (score) => score.numTargets);
    return { loss, perplexity: Math.exp(loss) };
  },
};
