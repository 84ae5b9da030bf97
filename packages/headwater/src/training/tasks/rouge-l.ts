/** ROUGE-L F-measure of written answers against the given ones, averaged over examples. The rules are in `scorers/rouge.ts`. */

import { z } from 'zod';
import { answerOf, decodingOptions, promptingOptions, writingOf } from './prompting.ts';
import { rougeL as rougeOf } from './scorers/rouge.ts';
import { type EvaluationTask, meanVerdict, requireSome } from './task.ts';

const options = z.strictObject({
  stemming: z
    .boolean()
    .default(true)
    .describe(
      'Words of more than three letters count by their Porter stem, as Natural Instructions scores do.',
    ),
  ...promptingOptions,
  ...decodingOptions({ maxNewTokens: 128, stop: [] }),
});

export const rougeL: EvaluationTask<z.infer<typeof options>> = {
  id: 'rouge-l',
  summary: 'overlap of written answers with the given ones (ROUGE-L, English)',
  options,
  writes: true,
  metrics: [
    {
      id: 'rougeL',
      summary: 'mean F-measure of the longest common subsequence of words, 0 to 1',
      higherIsBetter: true,
    },
  ],
  requests: (examples, choice, { shots }) =>
    examples.map((example, i) => ({
      example: i,
      texts: [],
      answer: 0,
      writing: writingOf(example, choice, shots),
    })),
  judge: ({ outputs }, example, { stemming }) => ({
    rougeL: rougeOf(answerOf(example), outputs![0]!, stemming).f,
  }),
  summarise(scored) {
    requireSome(scored, 'rouge-l');
    return { rougeL: meanVerdict(scored, 'rougeL') };
  },
};
