/**
 * Which of several completions the model finds most likely: argmax over options of Σ log p, or of the mean log p per
 * token (`lengthNormalised`). Options are given in the recipe or are the distinct completions of the test examples.
 */

import { z } from 'zod';
import { HeadwaterError } from '../../base/errors.ts';
import type { Example } from '../../data/types.ts';
import type { ExampleScore } from '../engine.ts';
import { type EvaluationTask, requireSome, type ScoredRequest, type TaskRequest } from './task.ts';

const options = z.strictObject({
  /** `example`: each example's own list (meta.options); `labels`: the distinct completions of all test examples; or a list. */
  choices: z.union([z.enum(['example', 'labels']), z.array(z.string().min(1)).min(2)]).default('labels'),
  /** Divide each option's log-likelihood by its number of tokens. */
  lengthNormalised: z.boolean().default(false),
});

type Options = z.infer<typeof options>;

export const multipleChoice: EvaluationTask<Options> = {
  id: 'multiple-choice',
  summary: 'share of examples whose right option is the most likely one',
  options,
  metrics: [{ id: 'accuracy', summary: 'share of examples, 0 to 1', higherIsBetter: true }],
  requests: (examples, { choices }) => {
    const shared = typeof choices === 'string' ? distinctCompletions(examples) : choices;
    return examples.map((example, i) =>
      request(example, i, choices === 'example' ? ownOptions(example) : shared),
    );
  },
  summarise(scored, { lengthNormalised }) {
    requireSome(scored, 'multiple-choice');
    const right = scored.filter((item) => mostLikely(item, lengthNormalised) === item.answer);
    return { accuracy: right.length / scored.length };
  },
  chance(examples, { choices }) {
    if (examples.length === 0) return undefined;
    if (choices !== 'example')
      return 1 / (choices === 'labels' ? distinctCompletions(examples) : choices).length;
    return examples.reduce((sum, example) => sum + 1 / ownOptions(example).length, 0) / examples.length;
  },
};

function mostLikely({ scores }: ScoredRequest, lengthNormalised: boolean): number {
  const value = ({ nll, numTargets }: ExampleScore) =>
    lengthNormalised ? nll / Math.max(1, numTargets) : nll;
  let best = 0;
  for (const [i, score] of scores.entries()) if (value(score) < value(scores[best]!)) best = i;
  return best;
}

function request(example: Example, index: number, choices: readonly string[]): TaskRequest {
  const right = completionOf(example);
  const answer = choices.indexOf(right);
  if (answer < 0)
    throw new HeadwaterError(
      'DATA_INVALID',
      `the completion ${JSON.stringify(right)} is not among the options`,
      {
        where: example.meta.where,
        hint: `Options: ${choices.slice(0, 8).join(', ')}${choices.length > 8 ? ' …' : ''}`,
      },
    );
  return { example: index, texts: choices.map((choice) => withCompletion(example, choice)), answer };
}

function distinctCompletions(examples: readonly Example[]): string[] {
  return [...new Set(examples.map(completionOf))].sort();
}

function ownOptions({ meta }: Example): readonly string[] {
  if (meta.options !== undefined && meta.options.length > 0) return meta.options;
  throw new HeadwaterError('DATA_INVALID', 'multiple-choice: the example has no options', {
    where: meta.where,
    hint: 'Name the column with the list of answers as data.optionsColumn, or use choices: labels.',
  });
}

function completionOf(example: Example): string {
  if (example.kind === 'completion') return example.completion;
  const last = example.kind === 'chat' ? example.messages.at(-1) : undefined;
  if (last?.role === 'assistant') return last.content;
  throw new HeadwaterError('DATA_INVALID', 'multiple-choice: the example has no completion to choose', {
    where: example.meta.where,
    hint: 'Use prompt/completion data, or chats that end with an assistant message.',
  });
}

function withCompletion(example: Example, completion: string): Example {
  if (example.kind === 'completion') return { ...example, completion };
  if (example.kind === 'chat')
    return {
      ...example,
      messages: [...example.messages.slice(0, -1), { role: 'assistant', content: completion }],
    };
  return example;
}
