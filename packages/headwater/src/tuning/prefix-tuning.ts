/**
 * Prefix tuning (Li & Liang 2021, arXiv:2101.00190): P trained keys and values before those of every sequence, in every
 * layer, without rotation. With `prefixProjection` they come out of a trained encoder of two linear layers, of which the
 * adapter file holds the result alone. Names and file are PEFT's.
 */

import { z } from 'zod';
import { type Params, type Tensor, zeros } from '../base/tensor.ts';
import type { Graph, Value } from '../graph/ir.ts';
import { reshape, slice, transpose } from '../graph/ops/index.ts';
import type { Sites } from '../graph/sites.ts';
import type { BoundTuning, ModelLayout, TrainableTensor, TuningKind, Wrapped } from './kind.ts';
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
import {
  encoded,
  encodedValues,
  encoderTensors,
  filled,
  initialEncoder,
  type PromptEncoder,
} from './prompt-encoder.ts';

const options = z.strictObject({
  numVirtualTokens: numVirtualTokensOption,
  prefixProjection: z.boolean().default(false).describe('Train keys and values through an encoder.'),
  encoderHiddenSize: z
    .int()
    .positive()
    .optional()
    .describe('Width inside the encoder. Default: key-value heads · head dim.'),
  initWeights: z
    .enum(['random', 'zero'])
    .default('random')
    .describe('First keys and values; zero ones take attention from the text but add nothing.'),
});

type Options = z.infer<typeof options>;

export const prefixTuning: TuningKind<Options> = {
  id: 'prefix-tuning',
  summary: 'trained keys and values before every sequence in every layer (prefix tuning), in PEFT format',
  options,
  bind: bindPrefix,
  fromAdapterConfig: (config) => {
    if (config.peft_type !== 'PREFIX_TUNING') return undefined;
    const read = ['encoder_hidden_size', 'prefix_projection'];
    refuseUnreadPrompt(config, { read, harmless: ['init_weights'] });
    return parsedOptions(options, {
      numVirtualTokens: config.num_virtual_tokens ?? 0,
      prefixProjection: config.prefix_projection,
      encoderHiddenSize: config.encoder_hidden_size,
    });
  },
  bindAdapter: (read, layout, config) => {
    checkModelOf(config, prefixSizes(layout), layout);
    return bindPrefix({ ...read, prefixProjection: false }, layout);
  },
};

function prefixSizes({ shape }: ModelLayout): PromptSizes {
  const { numKeyValueHeads, headDim } = shape;
  return { tokenDim: numKeyValueHeads * headDim, numAttentionHeads: numKeyValueHeads };
}

/** What is trained, and how keys and values of all layers, [P, 2 · L · K · Dh], follow from it. */
interface PrefixTensors {
  readonly tensors: readonly TrainableTensor[];
  readonly init: BoundTuning['init'];
  readonly table: (trainable: ReadonlyMap<string, Value>) => Value;
  readonly adapterTensors?: (params: Params) => Params;
}

function bindPrefix(bound: Options, layout: ModelLayout): BoundTuning {
  const { numVirtualTokens: count, prefixProjection } = bound;
  checkCount(count, layout);
  const sizes = prefixSizes(layout);
  const width = (prefixProjection ? bound.encoderHiddenSize : undefined) ?? sizes.tokenDim;
  const parts = prefixProjection
    ? projectedPrefix(bound, width, layout)
    : plainPrefix(bound, [count, tableWidth(layout)]);
  const { table, ...rest } = parts;
  const prefix: BoundTuning = {
    ...rest,
    kind: 'prefix-tuning',
    options: bound,
    virtual: { count, as: 'cache' },
    wrap: (graph, base) => wrap(graph, base, parts, layout),
    adapterConfig: () => ({
      ...promptConfig('PREFIX_TUNING', count, sizes, layout),
      encoder_hidden_size: width,
      init_weights: null,
      prefix_projection: prefixProjection,
    }),
  };
  return withHead(prefix, layout);
}

function tableWidth(layout: ModelLayout): number {
  return 2 * layout.shape.numHiddenLayers * prefixSizes(layout).tokenDim;
}

function plainPrefix({ initWeights }: Options, shape: readonly number[]): PrefixTensors {
  return {
    tensors: [{ name: PROMPT_EMBEDDINGS, shape }],
    async init(random) {
      const stream = random.split(PROMPT_EMBEDDINGS);
      const isZero = initWeights === 'zero';
      return new Map([
        [PROMPT_EMBEDDINGS, isZero ? zeros('float32', shape) : filled(shape, () => stream.normal())],
      ]);
    },
    table: (trainable) => trainable.get(PROMPT_EMBEDDINGS)!,
  };
}

function projectedPrefix(
  { numVirtualTokens: count, initWeights }: Options,
  width: number,
  layout: ModelLayout,
): PrefixTensors {
  const widths = [prefixSizes(layout).tokenDim, width, tableWidth(layout)] as const;
  const encoder: PromptEncoder = { count, layers: 'transform', widths: [...widths], activation: 'tanh' };
  const isLast = (name: string) => name.includes('.transform.2.');
  return {
    tensors: encoderTensors(encoder),
    async init(random) {
      const fresh = [...initialEncoder(encoder, random)].map(([name, value]): [string, Tensor<'float32'>] => [
        name,
        initWeights === 'zero' && isLast(name) ? zeros('float32', value.shape) : value,
      ]);
      return new Map(fresh);
    },
    table: (trainable) => encoded(encoder, trainable),
    adapterTensors: (params) => new Map([[PROMPT_EMBEDDINGS, encodedValues(encoder, params)]]),
  };
}

function wrap(
  graph: Graph,
  base: Sites,
  { tensors, table }: Pick<PrefixTensors, 'tensors' | 'table'>,
  layout: ModelLayout,
): Wrapped {
  const { numHiddenLayers, numKeyValueHeads: K, headDim } = layout.shape;
  const trainable = new Map<string, Value>(
    tensors.map(({ name, shape }) => [name, graph.input(name, 'float32', shape)]),
  );
  const rows = table(trainable);
  const P = rows.shape[0] as number;
  // [P, 2L, K, Dh] → [2L, K, P, Dh]: keys of layer l at 2l, its values after them.
  const all = transpose(reshape(rows, [P, 2 * numHiddenLayers, K, headDim]), [1, 2, 0, 3]);
  const at = (index: number) =>
    reshape(slice(all, { axis: 0, start: index, end: index + 1 }), [K, P, headDim]);
  return {
    sites: base,
    trainable,
    dropout: [],
    prefix: (layer) => ({ k: at(2 * layer), v: at(2 * layer + 1) }),
  };
}
