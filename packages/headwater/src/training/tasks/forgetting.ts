/**
 * What training on a task did to the model's language: loss and perplexity on text that has nothing to do with it
 * (data.general), shown with their distance to the base model's.
 */

import { z } from 'zod';
import { HeadwaterError } from '../../base/errors.ts';
import { type EvaluationTask, requireSome, sumOf } from './task.ts';

const options = z.strictObject({
  texts: z.int().positive().default(200).describe('So many texts of data.general, from its beginning.'),
});

export const forgetting: EvaluationTask<z.infer<typeof options>> = {
  id: 'forgetting',
  summary: 'loss and perplexity on general text, and their distance to the base model',
  options,
  metrics: [
    {
      id: 'generalLoss',
      summary: 'nats per token of general text',
      higherIsBetter: false,
      comparedWithBase: true,
    },
    { id: 'generalPerplexity', summary: 'e to the loss', higherIsBetter: false, comparedWithBase: true },
  ],
  requests(_, { texts }, { general }) {
    if (general.length === 0)
      throw new HeadwaterError('DATA_INVALID', 'forgetting: there is no general text', {
        hint: 'Name a file of text that has nothing to do with the task as data.general.',
      });
    return general.slice(0, texts).map((text) => ({ example: -1, texts: [text], answer: 0 }));
  },
  summarise(scored) {
    requireSome(scored, 'forgetting');
    const loss = sumOf(scored, ({ nll }) => nll) / sumOf(scored, ({ numTargets }) => numTargets);
    return { generalLoss: loss, generalPerplexity: Math.exp(loss) };
  },
};
