/**
 * Exact match of the final number of a written solution (Cobbe et al. 2021, arXiv:2110.14168). `strictMatch` wants it behind
 * `#### `; `flexibleMatch` takes the last number of the text. The rules are in `scorers/gsm8k.ts`.
 */

import { z } from 'zod';
import { answerOf, decodingOptions, promptingOptions, writingOf } from './prompting.ts';
import { lastNumber, markedAnswer, sameAnswer } from './scorers/gsm8k.ts';
import { type EvaluationTask, meanVerdict, requireSome } from './task.ts';

const options = z.strictObject({
  ...promptingOptions,
  ...decodingOptions({ maxNewTokens: 256, stop: ['Question:'] }),
});

export const gsm8k: EvaluationTask<z.infer<typeof options>> = {
  id: 'gsm8k',
  summary: 'share of written solutions that end with the right number (GSM8K)',
  options,
  writes: true,
  metrics: [
    { id: 'strictMatch', summary: 'the number behind ####, share of examples', higherIsBetter: true },
    { id: 'flexibleMatch', summary: 'the last number of the text, share of examples', higherIsBetter: true },
  ],
  requests: (examples, choice, { shots }) =>
    examples.map((example, i) => ({
      example: i,
      texts: [],
      answer: 0,
      writing: writingOf(example, choice, shots),
    })),
  judge({ outputs }, example) {
    const [solution, written] = [answerOf(example), outputs![0]!];
    return {
      strictMatch: Number(sameAnswer(markedAnswer(written), solution)),
      flexibleMatch: Number(sameAnswer(lastNumber(written), solution)),
    };
  },
  summarise(scored) {
    requireSome(scored, 'gsm8k');
    return {
      strictMatch: meanVerdict(scored, 'strictMatch'),
      flexibleMatch: meanVerdict(scored, 'flexibleMatch'),
    };
  },
};
