/**
 * A model with its adapters that answers orders for text: all orders of one adapter share a batch. An adapter that is
 * loaded again serves new orders, those under way end with the old one. Knows no HTTP and no threads.
 */

import { HeadwaterError } from '../base/errors.ts';
import type { Params } from '../base/tensor.ts';
import { openModel } from '../models/checkpoint-node.ts';
import { chatTokens, endTokens, type PromptParts, textTokens } from '../models/prompt-tokens.ts';
import { checkVocabulary } from '../models/tokenizer.ts';
import { loadTokenizer } from '../models/tokenizer-node.ts';
import { createNodeExecutor } from '../runtime/onnx-node.ts';
import { readAdapterFolder } from '../training/adapter-folder-node.ts';
import type { Engine } from '../training/engine.ts';
import { createEngine } from '../training/engine-core.ts';
import type { Generator } from '../training/generation/generator.ts';
import { type PendingText, submitText, type TextPiece } from '../training/generation/text.ts';
import { frozen } from '../tuning/frozen.ts';
import type { BoundTuning } from '../tuning/kind.ts';
import {
  ContextError,
  type FromService,
  type Prompt,
  type ServiceFacts,
  type ServiceInit,
  sentError,
  type TextOrder,
  type ToService,
} from './messages.ts';

export interface TextService {
  readonly facts: ServiceFacts;
  handle(message: ToService): Promise<void>;
}

/** Positions are memory: so many are offered unless more are asked for. */
const USUAL_TOKENS = 4096;

/** Throws what opening a model throws, MODEL_UNSUPPORTED for classifiers. */
export async function openTextService(
  init: ServiceInit,
  post: (message: FromService) => void,
): Promise<TextService> {
  const model = await openModel(init.modelFolder);
  const text = await loadTokenizer(model.folder);
  const { shape } = model.definition;
  checkVocabulary(text.tokenizer, shape.vocabSize, model.folder);
  const parts = { ...text, model };
  const { device, threads, prepack } = init;
  const executor = createNodeExecutor({ device, threads, prepack });
  const maxTokens = Math.min(init.maxTokens ?? USUAL_TOKENS, shape.maxPositionEmbeddings);
  const engines = new Map<string, Engine>();
  /** Adapters of one shape share their sessions: parameters are inputs. */
  const generatorFor = (tuning: BoundTuning, params: Params): Generator => {
    const key = JSON.stringify([tuning.kind, tuning.options, tuning.tensors]);
    const engine = engines.get(key) ?? createEngine({ model, tuning, executor });
    engines.set(key, engine);
    return engine.openGenerator(params, { batchSize: init.batchSize, maxTokens });
  };
  const generators = new Map<string | undefined, Generator>([[undefined, generatorFor(frozen, new Map())]]);
  const pending = new Map<number, readonly PendingText[]>();
  const work = workLoop();

  function generate(id: number, order: TextOrder): void {
    const generator = generators.get(order.adapter);
    if (generator === undefined)
      throw new HeadwaterError('OPTION_INVALID', `there is no adapter "${order.adapter}"`);
    const prompt = promptOf(parts, shape.vocabSize, order.prompt);
    const room = maxTokens - prompt.length;
    if (room < (order.maxNewTokens ?? 1)) throw tooLong(prompt.length, order.maxNewTokens, maxTokens);
    const maxNewTokens = order.maxNewTokens ?? room;
    const { sampling, stop, topLogprobs } = order;
    const details = topLogprobs === undefined ? {} : { topLogprobs };
    const base = { ...sampling, ...details, maxNewTokens, stopTokenIds: endTokens(parts) };
    const texts = Array.from({ length: order.numChoices }, (_, choice) => {
      const options = { ...base, seedPath: [...order.seedPath, choice] };
      const onPiece = (piece: TextPiece) => post({ type: 'piece', id, choice, piece });
      const continues = order.prompt.kind !== 'chat';
      return submitText(generator, parts.tokenizer, { prompt, options, stop, continues, onPiece });
    });
    pending.set(id, texts);
    post({ type: 'accepted', id });
    void report(id, texts);
    work.wake(generator);
  }
  async function report(id: number, texts: readonly PendingText[]): Promise<void> {
    const finish = async ({ done }: PendingText, choice: number) =>
      post({ type: 'finished', id, choice, result: await done });
    await Promise.all(texts.map(finish)).then(
      () => post({ type: 'done', id }),
      (cause) => post({ type: 'refused', id, error: sentError(cause) }),
    );
    pending.delete(id);
  }
  async function load(id: number, name: string, folder: string): Promise<void> {
    const { tuning, params } = await readAdapterFolder(folder, model.definition);
    generators.set(name, generatorFor(tuning, params));
    post({ type: 'done', id });
  }
  return {
    facts: { maxTokens, hasChatTemplate: text.chatTemplate !== undefined },
    async handle(message) {
      try {
        if (message.type === 'generate') generate(message.id, message.order);
        else if (message.type === 'load') await load(message.id, message.name, message.folder);
        else if (message.type === 'cancel') for (const text of pending.get(message.id) ?? []) text.cancel();
        else {
          generators.delete(message.name);
          post({ type: 'done', id: message.id });
        }
      } catch (cause) {
        post({ type: 'refused', id: message.id, error: sentError(cause) });
      }
    },
  };
}

function tooLong(numPrompt: number, numNew: number | undefined, maxTokens: number): ContextError {
  const asked = numNew === undefined ? '' : ` and ${numNew} for the answer`;
  return new ContextError(
    'OPTION_INVALID',
    `the context has ${maxTokens} tokens; this asks for ${numPrompt} for the prompt${asked}`,
  );
}

function promptOf(parts: PromptParts, vocabSize: number, prompt: Prompt): Int32Array {
  if (prompt.kind === 'chat') return chatTokens(parts, prompt.messages);
  if (prompt.kind === 'text') return textTokens(parts, prompt.text);
  const strange = prompt.ids.find((id) => id >= vocabSize);
  if (strange !== undefined)
    throw new HeadwaterError(
      'OPTION_INVALID',
      `token ${strange} is outside of the vocabulary of ${vocabSize}`,
    );
  return Int32Array.from(prompt.ids);
}

/** Gives every generator that has something to do a step in turn; messages come in between. */
function workLoop(): { wake(generator: Generator): void } {
  const busy = new Set<Generator>();
  let isRunning = false;
  async function run(): Promise<void> {
    isRunning = true;
    while (busy.size > 0)
      for (const generator of busy) {
        await generator.step();
        if (generator.isIdle()) busy.delete(generator);
      }
    isRunning = false;
  }
  return {
    wake(generator) {
      busy.add(generator);
      if (!isRunning) void run();
    },
  };
}
