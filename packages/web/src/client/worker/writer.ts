/** The tuned model in a chat, and its adapter as a file to take away. */

import { HeadwaterError } from '@headwater/base/errors.ts';
import type { Params } from '@headwater/base/tensor.ts';
import { openMemory } from '@headwater/client/memory.ts';
import { decodeParams } from '@headwater/federation/params.ts';
import { partsOf } from '@headwater/jobs/kept.ts';
import { type ChatMessage, chatTokens, endTokens, textTokens } from '@headwater/models/prompt-tokens.ts';
import { writeSafetensors } from '@headwater/models/safetensors.ts';
import { aboutRecipe } from '@headwater/recipe/about.ts';
import { type PendingText, submitText } from '@headwater/training/generation/text.ts';
import { ADAPTER_CONFIG, ADAPTER_WEIGHTS, adapterConfigText } from '@headwater/tuning/peft-adapter.ts';
import { downloadZip } from 'client-zip';
import type { ChatTurn } from '../messages.ts';
import type { Learner } from './learner.ts';
import type { Basics } from './place.ts';

/** Under this key a client keeps the result of its run. */
export const RESULT = 'result';

const CONTEXT_TOKENS = 1024;
const ANSWER_TOKENS = 256;

export interface Writer {
  /** Resolves with the whole answer; `onPiece` is told as it grows. */
  answer(turns: readonly ChatTurn[], tuned: boolean, onPiece: (text: string) => void): Promise<string>;
  stop(): void;
}

/** Throws MODEL_UNSUPPORTED for models that do not write. */
export async function openWriter(learner: Learner, basics: Basics): Promise<Writer> {
  const { model, codec, engine } = learner;
  if (model.definition.objective !== 'causal-lm')
    throw new HeadwaterError('MODEL_UNSUPPORTED', 'this model sorts texts into classes and writes none', {
      hint: 'Download the adapter and use it with your own program.',
    });
  const maxTokens = Math.min(CONTEXT_TOKENS, model.definition.shape.maxPositionEmbeddings);
  const paramsFor = { tuned: await resultParams(learner, basics), base: learner.freshParams };
  const parts = { ...codec, model };
  let pending: PendingText | undefined;
  return {
    async answer(turns, tuned, onPiece) {
      const params = tuned ? paramsFor.tuned : await paramsFor.base();
      const prompt = promptOf(parts, turns, maxTokens - Math.min(ANSWER_TOKENS, maxTokens >> 1));
      const generator = engine.openGenerator(params, { batchSize: 1, maxTokens });
      const maxNewTokens = Math.min(ANSWER_TOKENS, maxTokens - prompt.length);
      pending = submitText(generator, codec.tokenizer, {
        prompt,
        options: {
          ...{ maxNewTokens, temperature: 0, topP: 1, topK: 0 },
          ...{ stopTokenIds: endTokens(parts), seedPath: [0, 'chat', turns.length] },
        },
        stop: [],
        continues: codec.chatTemplate === undefined,
        onPiece: ({ text }) => onPiece(text),
      });
      const { done } = pending;
      done.catch(() => undefined);
      while (!generator.isIdle()) await generator.step();
      return (await done).text;
    },
    stop: () => pending?.cancel(),
  };
}

type PromptParts = Parameters<typeof chatTokens>[0];

/** The latest turns that fit; a model without a chat template continues the last one. */
function promptOf(parts: PromptParts, turns: readonly ChatTurn[], maxTokens: number): Int32Array {
  if (parts.chatTemplate === undefined)
    return textTokens(parts, turns.at(-1)?.content ?? '').slice(-maxTokens);
  let messages: readonly ChatMessage[] = turns;
  for (;;) {
    const tokens = chatTokens(parts, messages);
    if (tokens.length <= maxTokens) return tokens;
    if (messages.length <= 2)
      throw new HeadwaterError('OPTION_INVALID', `the question has more than ${maxTokens} tokens`, {
        hint: 'Ask a shorter one.',
      });
    messages = messages.slice(2);
  }
}

/** Of the run, with what stayed with this owner where the method keeps something. Throws STORAGE_FAILED. */
async function resultParams({ method }: Learner, { store, hasher }: Basics): Promise<Params> {
  const global = decodeParams(await resultBytes(store), 'result');
  const { kept } = await openMemory({ store, hasher }, true);
  return kept === undefined ? global : method.ownParams(global, partsOf(decodeParams(kept, 'kept')));
}

async function resultBytes(store: Basics['store']): Promise<Uint8Array> {
  const bytes = await store.load(RESULT);
  if (bytes !== undefined) return bytes;
  throw new HeadwaterError('STORAGE_FAILED', 'the result of the run is not in this browser', {
    hint: 'Open the page while the coordinator is there: it is fetched again.',
  });
}

type Zipped = Pick<Learner, 'tuning' | 'recipe'>;

/** PEFT's folder as a ZIP file. Throws MODEL_UNSUPPORTED where whole models are trained. */
export async function adapterZip({ tuning, recipe }: Zipped, { store }: Basics): Promise<Blob> {
  if (tuning.adapterConfig() === undefined)
    throw new HeadwaterError('MODEL_UNSUPPORTED', 'this run trains whole weights and makes no adapter', {
      hint: 'Ask the operator for the model, or join with the command line and --out.',
    });
  const params = decodeParams(await resultBytes(store), 'result');
  const weights = writeSafetensors(tuning.adapterTensors?.(params) ?? params);
  const baseModel = aboutRecipe(recipe).model ?? recipe.model;
  return downloadZip([
    { name: ADAPTER_CONFIG, input: `${adapterConfigText(tuning, baseModel)}\n` },
    { name: ADAPTER_WEIGHTS, input: weights as Uint8Array<ArrayBuffer> },
  ]).blob();
}
