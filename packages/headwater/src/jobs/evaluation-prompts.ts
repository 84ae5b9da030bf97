/** Prompts of an evaluation set as tokens: those that do not fit before the longest answer lose tokens from their left. */

import { HeadwaterError } from '../base/errors.ts';
import { chatPromptTokens, promptTokens, type TextCodec } from '../data/tokenize.ts';
import type { Example } from '../data/types.ts';
import type { PreparedPrompt } from '../training/generation/write-texts.ts';
import type { TaskRequest, WritingRequest } from '../training/tasks/task.ts';
import type { ReadyTask } from './task-choice.ts';

export interface PromptLimits {
  /** Of prompt and answer together. */
  readonly maxTokens: number;
  /** Tokens that end an answer. */
  readonly stopTokenIds: readonly number[];
}

export interface PreparedPrompts {
  readonly prompts: readonly PreparedPrompt[];
  readonly promptOwner: readonly (string | undefined)[];
  readonly firstOutput: ReadonlyMap<TaskRequest, number>;
  readonly textsCut: number;
}

interface Settings {
  readonly codec: TextCodec;
  readonly seed: number;
  readonly limits: PromptLimits | undefined;
}

/** Throws RECIPE_INVALID when the longest answer alone does not fit, OPTION_INVALID for chats without a template. */
export function preparePrompts(
  tasks: readonly ReadyTask[],
  examples: readonly Example[],
  { codec, seed, limits }: Settings,
): PreparedPrompts {
  const prompts: PreparedPrompt[] = [];
  const promptOwner: (string | undefined)[] = [];
  const firstOutput = new Map<TaskRequest, number>();
  let textsCut = 0;
  if (limits === undefined) return { prompts, promptOwner, firstOutput, textsCut };
  for (const { task, requests } of tasks)
    for (const request of requests) {
      const { writing, example } = request;
      if (writing === undefined) continue;
      const { tokens, cut } = fitted(writing, codec, limits, task.id);
      textsCut += Number(cut);
      firstOutput.set(request, prompts.length);
      for (let sample = 0; sample < writing.samples; sample++) {
        const seedPath = [seed, 'evaluation', task.id, example, sample];
        const continues = typeof writing.prompt === 'string';
        const { decoding } = writing;
        prompts.push({ tokens, continues, decoding, stopTokenIds: limits.stopTokenIds, seedPath });
        promptOwner.push(examples[example]?.meta.owner);
      }
    }
  return { prompts, promptOwner, firstOutput, textsCut };
}

function fitted(
  { prompt, decoding }: WritingRequest,
  codec: TextCodec,
  { maxTokens }: PromptLimits,
  task: string,
): { readonly tokens: Int32Array; readonly cut: boolean } {
  const tokens = typeof prompt === 'string' ? promptTokens(prompt, codec) : chatPromptTokens(prompt, codec);
  const room = maxTokens - decoding.maxNewTokens;
  if (room < 1)
    throw new HeadwaterError(
      'RECIPE_INVALID',
      `evaluation.tasks: "${task}" lets the model write ${decoding.maxNewTokens} tokens, but the model has ${maxTokens} positions for prompt and answer together`,
      { hint: 'Lower its maxNewTokens.' },
    );
  if (tokens.length <= room) return { tokens, cut: false };
  const kept = tokens.slice(tokens.length - room);
  // The begin token (or whatever frames the text) stays at the front.
  kept[0] = tokens[0]!;
  return { tokens: kept, cut: true };
}

/** Tokens that the longest prompt and its answer need. */
export function longestWriting(prompts: readonly PreparedPrompt[]): number {
  return prompts.reduce(
    (most, { tokens, decoding }) => Math.max(most, tokens.length + decoding.maxNewTokens),
    1,
  );
}
