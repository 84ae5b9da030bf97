/**
 * Prompts of evaluation tasks: an instruction, solved examples, the question; as text or as a chat. And what the right answer
 * to a question is. It knows no task.
 */

import { z } from 'zod';
import { HeadwaterError } from '../../base/errors.ts';
import type { ChatMessage, Example } from '../../data/types.ts';
import type { Decoding, WritingRequest } from './task.ts';

export const promptingOptions = {
  instruction: z
    .string()
    .default('')
    .describe(
      'Before everything else; in a chat the system message. `{group}` is the example’s group, `_` as a space.',
    ),
  shots: z
    .int()
    .nonnegative()
    .default(0)
    .describe(
      'Solved examples before the question: the first of data.shots, of the same group where there are groups.',
    ),
  separator: z
    .string()
    .default('\n\n')
    .describe('Between solved examples and question; chats have turns instead.'),
};

export interface Prompting {
  readonly instruction: string;
  readonly shots: number;
  readonly separator: string;
}

/** Options of tasks that let the model write. */
export function decodingOptions(defaults: {
  readonly maxNewTokens: number;
  readonly stop: readonly string[];
}) {
  return {
    maxNewTokens: z.int().positive().default(defaults.maxNewTokens).describe('Longest answer in tokens.'),
    stop: z
      .array(z.string().min(1))
      .default([...defaults.stop])
      .describe('The answer ends before the first of these.'),
    temperature: z.number().nonnegative().default(0).describe('0: greedy. Else seeded by the recipe’s seed.'),
    topP: z
      .number()
      .positive()
      .max(1)
      .default(1)
      .describe('Sample from the most likely tokens of this probability.'),
    topK: z.int().nonnegative().default(0).describe('Sample from so many most likely tokens; 0: all.'),
  };
}

/** What the model is asked, and how it shall write. */
export function writingOf(
  example: Example,
  options: Prompting & Decoding,
  shots: readonly Example[],
  samples = 1,
): WritingRequest {
  const { maxNewTokens, stop, temperature, topP, topK } = options;
  const { prompt } = prompted(example, options, shots);
  return { prompt, decoding: { maxNewTokens, stop, temperature, topP, topK }, samples };
}

/** The example with instruction and solved examples before its own prompt: what a task scores. */
export function withPrompt(example: Example, options: Prompting, shots: readonly Example[]): Example {
  if (options.shots === 0 && options.instruction === '') return example;
  const { prompt, answer } = prompted(example, options, shots);
  return typeof prompt === 'string'
    ? { kind: 'completion', prompt, completion: answer, meta: example.meta }
    : { kind: 'chat', messages: [...prompt, { role: 'assistant', content: answer }], meta: example.meta };
}

/** What the model shall write. Throws DATA_INVALID for texts without a prompt. */
export function answerOf(example: Example): string {
  return asked(example).answer;
}

function prompted(
  example: Example,
  { instruction, shots: count, separator }: Prompting,
  shots: readonly Example[],
): { readonly prompt: string | readonly ChatMessage[]; readonly answer: string } {
  const own = asked(example);
  const solved = solvedFor(example, shots, count).map(asked);
  const said = instruction.replaceAll('{group}', (example.meta.group ?? '').replaceAll('_', ' '));
  if (typeof own.prompt === 'string') {
    const texts = solved.map(({ prompt, answer }) => textOf(prompt) + answer + separator);
    return { prompt: said + texts.join('') + own.prompt, answer: own.answer };
  }
  const system: ChatMessage[] = said === '' ? [] : [{ role: 'system', content: said }];
  const turns = solved.flatMap(({ prompt, answer }) => [
    ...(typeof prompt === 'string' ? [{ role: 'user', content: prompt }] : prompt),
    { role: 'assistant', content: answer },
  ]);
  return { prompt: [...system, ...turns, ...own.prompt], answer: own.answer };
}

function asked(example: Example): {
  readonly prompt: string | readonly ChatMessage[];
  readonly answer: string;
} {
  if (example.kind === 'completion') return { prompt: example.prompt, answer: example.completion };
  const last = example.kind === 'chat' ? example.messages.at(-1) : undefined;
  if (example.kind === 'chat' && last?.role === 'assistant')
    return { prompt: example.messages.slice(0, -1), answer: last.content };
  throw new HeadwaterError('DATA_INVALID', 'the task needs a prompt and an answer, the example has none', {
    where: example.meta.where,
    hint: 'Use prompt/completion data, or chats that end with an assistant message.',
  });
}

function textOf(prompt: string | readonly ChatMessage[]): string {
  return typeof prompt === 'string' ? prompt : prompt.map(({ content }) => content).join('\n');
}

/** The first ones in the order of the file, as the published evaluations take them. Throws DATA_INVALID when there are too few. */
function solvedFor({ meta }: Example, shots: readonly Example[], count: number): readonly Example[] {
  if (count === 0) return [];
  const same = shots.some((shot) => shot.meta.group !== undefined)
    ? shots.filter((shot) => shot.meta.group === meta.group)
    : shots;
  if (same.length >= count) return same.slice(0, count);
  const group = meta.group === undefined ? '' : ` of the group "${meta.group}"`;
  throw new HeadwaterError('DATA_INVALID', `expected ${count} solved examples${group}, got ${same.length}`, {
    where: meta.where,
    hint: 'Name a file with them as data.shots, or set the task’s shots: 0.',
  });
}
