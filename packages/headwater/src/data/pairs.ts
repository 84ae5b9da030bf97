/** Pairs of answers to one prompt, of which one was chosen: as examples, and what they weigh once tokenized. */

import { HeadwaterError } from '../base/errors.ts';
import type { Example, TokenizedExample } from './types.ts';

/** The example itself, which holds the chosen answer, and the example with the other one. Throws DATA_INVALID. */
export function pairOf(example: Example): readonly [Example, Example] {
  const others = example.meta.options?.filter((option) => option !== answerOf(example)) ?? [];
  const [rejected] = others;
  if (rejected === undefined || others.length > 1 || example.kind === 'text')
    throw new HeadwaterError('DATA_INVALID', 'the example has no rejected answer', {
      where: example.meta.where,
      hint: 'Use the schema preference, or for evaluation alone a column with the two answers as data.optionsColumn.',
    });
  return [example, withAnswer(example, rejected)];
}

function answerOf(example: Example): string | undefined {
  if (example.kind === 'completion') return example.completion;
  return example.kind === 'chat' ? example.messages.at(-1)?.content : undefined;
}

function withAnswer(example: Example, answer: string): Example {
  if (example.kind === 'completion') return { ...example, completion: answer };
  if (example.kind !== 'chat') return example;
  const before = example.messages.slice(0, -1);
  return { ...example, messages: [...before, { role: 'assistant', content: answer }] };
}

/** Of all its sequences. */
export function numTokensOf({ tokens, rejected }: TokenizedExample): number {
  return tokens.length + (rejected?.tokens.length ?? 0);
}

/** Of all its sequences. */
export function numTargetsOf({ numTargets, rejected }: TokenizedExample): number {
  return numTargets + (rejected?.numTargets ?? 0);
}
