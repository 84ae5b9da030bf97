/** A model that writes, for programs: opened once with its adapters, asked as often as wanted, many prompts side by side. */

import { availableParallelism } from 'node:os';
import { openModel } from '../../models/checkpoint-node.ts';
import { type ChatMessage, chatTokens, endTokens, textTokens } from '../../models/prompt-tokens.ts';
import { checkVocabulary } from '../../models/tokenizer.ts';
import { loadTokenizer } from '../../models/tokenizer-node.ts';
import type { Device } from '../../runtime/executor.ts';
import { createNodeExecutor } from '../../runtime/onnx-node.ts';
import { tuningOf } from '../../tuning/combined.ts';
import { readAdapterFolder } from '../adapter-folder-node.ts';
import { createEngine } from '../engine-core.ts';
import type { GenerateOptions } from './options.ts';
import { type GeneratedText, submitText, type TextPiece } from './text.ts';

export interface TextModelOptions {
  /** Folder or hub id `owner/name[@revision]`. */
  readonly model: string;
  /** PEFT folders, with the weight of each: 1 when omitted. */
  readonly adapters?: readonly { readonly folder: string; readonly weight?: number }[];
  readonly device?: Device;
  /** Threads that compute; default: one a core. */
  readonly threads?: number;
  /** Prompts side by side; default 8. */
  readonly batchSize?: number;
  /** Tokens of prompt and answer together; default: what the model has, at most 4096. */
  readonly contextLength?: number;
}

export interface WriteOptions
  extends Partial<Omit<GenerateOptions, 'seedPath' | 'stopTokenIds' | 'useCache'>> {
  /** The text ends before the first of these. */
  readonly stop?: readonly string[];
  /** Same seed and prompt, same text. Default 0. */
  readonly seed?: number;
  /** Told as the texts grow; `index` numbers the prompts. */
  readonly onPiece?: (piece: TextPiece, index: number) => void;
}

/** Text to continue, or a chat to answer through the model's template. */
export type TextPrompt = string | readonly ChatMessage[];

export interface TextModel {
  /**
   * One text for each prompt, in order. Greedy and 128 tokens long unless the options say otherwise. Throws OPTION_INVALID
   * for prompts that do not fit and chats without a template, DATA_INVALID when the template refuses a chat.
   */
  generate(prompts: readonly TextPrompt[], options?: WriteOptions): Promise<GeneratedText[]>;
  close(): Promise<void>;
}

/** Throws what opening models and adapters throws, MODEL_UNSUPPORTED for classifiers. */
export async function openTextModel(options: TextModelOptions): Promise<TextModel> {
  const model = await openModel(options.model);
  const parts = { ...(await loadTokenizer(model.folder)), model };
  const { shape } = model.definition;
  checkVocabulary(parts.tokenizer, shape.vocabSize, model.folder);
  const adapters = [];
  for (const { folder, weight = 1 } of options.adapters ?? [])
    adapters.push({ source: folder, weight, ...(await readAdapterFolder(folder, model.definition)) });
  const { tuning, params } = tuningOf(adapters);
  const { device = 'cpu', threads = availableParallelism(), batchSize = 8 } = options;
  const executor = createNodeExecutor({ device, threads, prepack: true });
  const engine = createEngine({ model, tuning, executor });
  const maxTokens = Math.min(options.contextLength ?? 4096, shape.maxPositionEmbeddings);
  const generator = engine.openGenerator(params, { batchSize, maxTokens });
  return {
    async generate(prompts, { stop = [], seed = 0, onPiece, ...sampling } = {}) {
      const pending = prompts.map((prompt, index) => {
        const isText = typeof prompt === 'string';
        return submitText(generator, parts.tokenizer, {
          prompt: isText ? textTokens(parts, prompt) : chatTokens(parts, prompt),
          options: {
            ...{ maxNewTokens: 128, temperature: 0, topP: 1, topK: 0, ...sampling },
            stopTokenIds: endTokens(parts),
            seedPath: [seed, 'generate', index],
          },
          stop,
          continues: isText,
          onPiece: (piece) => onPiece?.(piece, index),
        });
      });
      const all = Promise.all(pending.map(({ done }) => done));
      all.catch(() => undefined);
      while (!generator.isIdle()) await generator.step();
      return all;
    },
    close: () => executor.dispose(),
  };
}
