/**
 * Prompt tuning (Lester et al. 2021, arXiv:2104.08691): P trained embeddings before every sequence, everything else
 * frozen. Initial values, names and file are PEFT's.
 */

import { z } from 'zod';
import { HeadwaterError } from '../base/errors.ts';
import type { Rng } from '../base/random.ts';
import { type Params, type Tensor, tensor } from '../base/tensor.ts';
import type { Graph } from '../graph/ir.ts';
import type { Sites } from '../graph/sites.ts';
import type { BoundTuning, ModelLayout, TuningKind, Wrapped } from './kind.ts';
import { parsedOptions } from './peft-config.ts';
import {
  checkCount,
  checkModelOf,
  numVirtualTokensOption,
  PROMPT_EMBEDDINGS,
  type PromptSizes,
  promptConfig,
  refuseUnreadPrompt,
  withHead,
} from './prompt-config.ts';
import { filled } from './prompt-encoder.ts';
import { withVirtualRows } from './virtual-rows.ts';

const options = z
  .strictObject({
    numVirtualTokens: numVirtualTokensOption,
    promptTuningInit: z
      .enum(['RANDOM', 'SAMPLE_VOCAB', 'TEXT'])
      .default('RANDOM')
      .describe('First values: standard normal, embeddings of random tokens, or those of a text.'),
    promptTuningInitText: z
      .string()
      .min(1)
      .optional()
      .describe('For TEXT: repeated or cut until it has numVirtualTokens tokens.'),
  })
  .refine(
    ({ promptTuningInit, promptTuningInitText }) =>
      (promptTuningInit === 'TEXT') === (promptTuningInitText !== undefined),
    { error: 'goes with promptTuningInit: TEXT, and only with it', path: ['promptTuningInitText'] },
  );

type Options = z.infer<typeof options>;

export const promptTuning: TuningKind<Options> = {
  id: 'prompt-tuning',
  summary: 'trained embeddings before every sequence (prompt tuning), in PEFT format',
  options,
  bind: bindPrompt,
  fromAdapterConfig: (config) => {
    if (config.peft_type !== 'PROMPT_TUNING') return undefined;
    // How the values began says nothing about what they are now.
    const harmless = ['prompt_tuning_init', 'prompt_tuning_init_text'];
    refuseUnreadPrompt(config, { harmless: [...harmless, 'tokenizer_kwargs', 'tokenizer_name_or_path'] });
    return parsedOptions(options, { numVirtualTokens: config.num_virtual_tokens ?? 0 });
  },
  bindAdapter: (read, layout, config) => {
    checkModelOf(config, embeddingSizes(layout), layout);
    return bindPrompt(read, layout);
  },
};

/** One virtual token is a row of embeddings. */
export function embeddingSizes({ shape }: ModelLayout): PromptSizes {
  return { tokenDim: shape.hiddenSize, numAttentionHeads: shape.numAttentionHeads };
}

function bindPrompt(bound: Options, layout: ModelLayout): BoundTuning {
  const { numVirtualTokens: count } = bound;
  checkCount(count, layout);
  const shape = [count, layout.shape.hiddenSize];
  const prompt: BoundTuning = {
    kind: 'prompt-tuning',
    options: bound,
    tensors: [{ name: PROMPT_EMBEDDINGS, shape }],
    virtual: { count, as: 'tokens' },
    init: async (random, baseValue, encode) =>
      new Map([[PROMPT_EMBEDDINGS, await initialPrompt(bound, layout, random, baseValue, encode)]]),
    wrap: (graph, base) => wrap(graph, base, shape, layout),
    adapterConfig: () => ({
      ...promptConfig('PROMPT_TUNING', count, embeddingSizes(layout), layout),
      // With TEXT, PEFT would ask for the tokenizer before it reads the values.
      prompt_tuning_init: 'RANDOM',
      prompt_tuning_init_text: null,
      tokenizer_kwargs: null,
      tokenizer_name_or_path: null,
    }),
  };
  return withHead(prompt, layout);
}

function wrap(graph: Graph, base: Sites, shape: readonly number[], layout: ModelLayout): Wrapped {
  const table = graph.input(PROMPT_EMBEDDINGS, 'float32', shape);
  return {
    sites: withVirtualRows(base, table, layout.tokenEmbedding),
    trainable: new Map([[PROMPT_EMBEDDINGS, table]]),
    dropout: [],
  };
}

async function initialPrompt(
  { numVirtualTokens, promptTuningInit, promptTuningInitText }: Options,
  layout: ModelLayout,
  random: Rng,
  baseValue: (name: string) => Promise<Float32Array>,
  encode: ((text: string) => Promise<ArrayLike<number>>) | undefined,
): Promise<Tensor<'float32'>> {
  const { vocabSize, hiddenSize } = layout.shape;
  const stream = random.split(PROMPT_EMBEDDINGS);
  if (promptTuningInit === 'RANDOM') return filled([numVirtualTokens, hiddenSize], () => stream.normal());
  const ids =
    promptTuningInitText === undefined
      ? Array.from({ length: numVirtualTokens }, () => stream.below(vocabSize))
      : repeated(await textIds(promptTuningInitText, encode), numVirtualTokens);
  return embeddingsOf(ids, await baseValue(`${layout.tokenEmbedding}.weight`), layout);
}

async function textIds(
  text: string,
  encode: ((text: string) => Promise<ArrayLike<number>>) | undefined,
): Promise<ArrayLike<number>> {
  if (encode === undefined)
    throw new HeadwaterError('OPTION_INVALID', 'promptTuningInit: TEXT needs the tokenizer of the model', {
      hint: 'Use SAMPLE_VOCAB or RANDOM where only token ids are at hand.',
    });
  const ids = await encode(text);
  if (ids.length > 0) return ids;
  throw new HeadwaterError('OPTION_INVALID', `promptTuningInitText ${JSON.stringify(text)} has no tokens`);
}

function repeated(ids: ArrayLike<number>, count: number): number[] {
  return Array.from({ length: count }, (_, i) => ids[i % ids.length] as number);
}

/** Rows of the token embeddings as the network would see them. */
function embeddingsOf(
  ids: readonly number[],
  table: Float32Array,
  { shape: { hiddenSize }, embeddingScale }: ModelLayout,
): Tensor<'float32'> {
  const values = new Float32Array(ids.length * hiddenSize);
  for (const [row, id] of ids.entries())
    values.set(table.subarray(id * hiddenSize, (id + 1) * hiddenSize), row * hiddenSize);
  return tensor(
    'float32',
    [ids.length, hiddenSize],
    values.map((value) => value * embeddingScale),
  );
}

/** What other kinds leave behind once their own training is over: embeddings that prompt tuning may continue. */
export function bindFinishedPrompt(numVirtualTokens: number, layout: ModelLayout): BoundTuning {
  return bindPrompt(options.parse({ numVirtualTokens }), layout);
}

/** Tensors with the prompt under its name in the file. */
export function filePrompt(value: Tensor<'float32'>): Params {
  return new Map([[PROMPT_EMBEDDINGS, value]]);
}
