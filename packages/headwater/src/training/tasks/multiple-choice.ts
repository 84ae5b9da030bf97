/**
 * Which of several completions the model finds most likely: argmax over options of Σ log p, or of Σ log p by length
 * (`lengthNormalised`).
 */

import { z } from 'zod';
import type { Example } from '../../data/types.ts';
import type { ExampleScore } from '../engine.ts';
import { chanceOf, choicesOption, chosen, offeredTo, positionOfAnswer } from './choices.ts';
import { answerOf, promptingOptions, withPrompt } from './prompting.ts';
import { macroF1 } from './scorers/macro-f1.ts';
import { type EvaluationTask, meanVerdict, requireSome, type TaskRequest } from './task.ts';

const options = z.strictObject({
  choices: choicesOption,
  lengthNormalised: z
    .union([z.boolean(), z.enum(['tokens', 'characters', 'bytes'])])
    .default(false)
    .describe(
      'Divide each option’s log-likelihood by its length: in tokens (true), in characters (acc_norm of lm-evaluation-harness) or in UTF-8 bytes, without space before it.',
    ),
  endToken: z
    .boolean()
    .default(true)
    .describe(
      'The token that ends an answer counts, as in training. lm-evaluation-harness leaves it out. Chats always have it.',
    ),
  ...promptingOptions,
});

type Options = z.infer<typeof options>;

export const multipleChoice: EvaluationTask<Options> = {
  id: 'multiple-choice',
  summary: 'share of examples whose right option is the most likely one',
  options,
  metrics: [
    { id: 'accuracy', summary: 'share of examples, 0 to 1', higherIsBetter: true },
    { id: 'macroF1', summary: 'mean of the F1 scores of the options, 0 to 1', higherIsBetter: true },
  ],
  requests: (examples, choice, { shots }) => {
    const offered = offeredTo(examples, choice.choices);
    return examples.map((example, i) => request(example, i, offered(example), choice, shots));
  },
  judge({ scores, texts, answer }, _, { lengthNormalised }) {
    const lengths = texts.map((text) => answerOf(text).trimStart());
    const predicted = mostLikely(scores, lengths, lengthNormalised);
    return { target: answer, predicted, right: Number(predicted === answer) };
  },
  summarise(scored) {
    requireSome(scored, 'multiple-choice');
    return { accuracy: meanVerdict(scored, 'right'), macroF1: macroF1(scored.map(chosen)) };
  },
  chance: (examples, { choices }) => chanceOf(examples, choices),
};

/** Of equals the first. */
function mostLikely(
  scores: readonly ExampleScore[],
  options: readonly string[],
  normalised: Options['lengthNormalised'],
): number {
  const values = scores.map(({ nll, numTargets }, i) => {
    if (normalised === false) return nll;
    const option = options[i]!;
    const length =
      normalised === 'characters'
        ? [...option].length
        : normalised === 'bytes'
          ? new TextEncoder().encode(option).length
          : numTargets;
    return nll / Math.max(1, length);
  });
  return values.reduce((best, value, i) => (value < values[best]! ? i : best), 0);
}

function request(
  example: Example,
  index: number,
  choices: readonly string[],
  options: Options,
  shots: readonly Example[],
): TaskRequest {
  const answer = positionOfAnswer(example, choices);
  const prompted = withPrompt(example, options, shots);
  const texts = choices.map((choice) => withCompletion(prompted, choice, options.endToken));
  return { example: index, texts, answer };
}

function withCompletion(example: Example, completion: string, endToken: boolean): Example {
  if (example.kind === 'completion') return { ...example, completion, ...(endToken ? {} : { open: true }) };
  if (example.kind === 'chat')
    return {
      ...example,
      messages: [...example.messages.slice(0, -1), { role: 'assistant', content: completion }],
    };
  return example;
}
