/** What there is to choose from in multiple-choice tasks: where options come from, which is right, what guessing gets. */

import { z } from 'zod';
import { HeadwaterError } from '../../base/errors.ts';
import type { Example } from '../../data/types.ts';
import { answerOf } from './prompting.ts';
import type { ClassAnswer } from './scorers/macro-f1.ts';
import type { ScoredRequest } from './task.ts';

export const choicesOption = z
  .union([z.enum(['example', 'labels']), z.array(z.string().min(1)).min(2)])
  .default('labels')
  .describe(
    'example: each example’s own list (data.optionsColumn, or the schema multiple-choice); labels: the distinct answers of all test examples; or a list.',
  );

export type Choices = z.infer<typeof choicesOption>;

/** The options that each of these examples has. Throws DATA_INVALID. */
export function offeredTo(
  examples: readonly Example[],
  choices: Choices,
): (example: Example) => readonly string[] {
  if (choices === 'example') return ownOptions;
  const shared = choices === 'labels' ? distinctAnswers(examples) : choices;
  return () => shared;
}

/** Throws DATA_INVALID when the answer is no option. */
export function positionOfAnswer(example: Example, options: readonly string[]): number {
  const right = answerOf(example);
  const position = options.indexOf(right);
  if (position >= 0) return position;
  throw new HeadwaterError(
    'DATA_INVALID',
    `the completion ${JSON.stringify(right)} is not among the options`,
    {
      where: example.meta.where,
      hint: `Options: ${options.slice(0, 8).join(', ')}${options.length > 8 ? ' …' : ''}`,
    },
  );
}

/** Mean of 1 / number of options. */
export function chanceOf(examples: readonly Example[], choices: Choices): number | undefined {
  if (examples.length === 0) return undefined;
  const offered = offeredTo(examples, choices);
  return examples.reduce((sum, example) => sum + 1 / offered(example).length, 0) / examples.length;
}

/** From a verdict with `target` and `predicted`. */
export function chosen({ verdict }: ScoredRequest): ClassAnswer {
  return { target: verdict!.target!, predicted: verdict!.predicted! };
}

function distinctAnswers(examples: readonly Example[]): string[] {
  return [...new Set(examples.map(answerOf))].sort();
}

function ownOptions({ meta }: Example): readonly string[] {
  if (meta.options !== undefined && meta.options.length > 0) return meta.options;
  throw new HeadwaterError('DATA_INVALID', 'multiple-choice: the example has no options', {
    where: meta.where,
    hint: 'Name the column with the list of answers as data.optionsColumn, use the schema multiple-choice, or choices: labels.',
  });
}
