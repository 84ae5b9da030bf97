/** GPT-2 (Radford et al. 2019): learnt positions, layer norms, weights stored input first (Conv1D). */

import { z } from 'zod';
import { HeadwaterError } from '../../base/errors.ts';
import type { Value } from '../../graph/ir.ts';
import { add, reshape, slice } from '../../graph/ops/index.ts';
import type { Architecture } from '../architecture.ts';
import { type Activation, activation } from '../blocks/activation.ts';
import { mixHeads, splitQkv } from '../blocks/attention.ts';
import { causalLm, embedTokens } from '../blocks/causal-lm.ts';
import { layerNorm } from '../blocks/layer-norm.ts';
import { plainMlp } from '../blocks/plain-mlp.ts';
import { dropout, layerCount, off, parseConfig, positiveInt } from '../config.ts';
import type { ForwardInputs, ModelShape } from '../model.ts';

const schema = z.strictObject({
  n_embd: positiveInt,
  n_layer: layerCount,
  n_head: positiveInt,
  n_inner: positiveInt.optional(),
  n_positions: positiveInt,
  vocab_size: positiveInt,
  activation_function: activation.default('gelu_new'),
  layer_norm_epsilon: z.number().positive().default(1e-5),
  tie_word_embeddings: z.boolean().default(true),
  scale_attn_weights: z.boolean().default(true),
  scale_attn_by_inverse_layer_idx: z.boolean().default(false),
  /** The same scores, computed in another order. */
  reorder_and_upcast_attn: z.boolean().optional(),
  resid_pdrop: dropout,
  embd_pdrop: dropout,
  attn_pdrop: dropout,
  /** Older name of n_positions; nothing reads it. */
  n_ctx: positiveInt.optional(),
  // Of a head that is not the vocabulary's.
  summary_type: z.string().optional(),
  summary_use_proj: z.boolean().optional(),
  summary_activation: z.string().optional(),
  summary_proj_to_labels: z.boolean().optional(),
  summary_first_dropout: dropout,
  gradient_checkpointing: z.boolean().optional(),
  is_encoder_decoder: off,
  add_cross_attention: off,
  is_decoder: z.boolean().optional(),
  tie_encoder_decoder: off,
});

export const gpt2: Architecture = {
  id: 'gpt2',
  summary: 'GPT-2, DistilGPT-2, DialoGPT and models of the same form',
  define(raw, where) {
    const parts = gpt2Of(parseConfig(schema, raw, 'GPT2LMHeadModel', where), where);
    const { shape, tieWordEmbeddings } = parts;
    return causalLm({
      ...{ architecture: 'gpt2', shape, tieWordEmbeddings, tokenEmbedding: 'transformer.wte' },
      forward: (inputs) => forward(parts, inputs),
    });
  },
};

interface Gpt2 {
  readonly shape: ModelShape;
  readonly intermediateSize: number;
  readonly activation: Activation;
  readonly epsilon: number;
  readonly tieWordEmbeddings: boolean;
  /** Score multiplier of each layer. */
  readonly scales: readonly number[];
}

function gpt2Of(config: z.infer<typeof schema>, where: string): Gpt2 {
  const { n_embd: hiddenSize, n_head: numAttentionHeads, n_layer: numHiddenLayers } = config;
  const headDim = hiddenSize / numAttentionHeads;
  if (!Number.isInteger(headDim))
    throw new HeadwaterError(
      'MODEL_INVALID',
      `n_embd ${hiddenSize} is no multiple of ${numAttentionHeads} heads`,
      { where },
    );
  const scale = config.scale_attn_weights ? 1 / Math.sqrt(headDim) : 1;
  const byLayer = config.scale_attn_by_inverse_layer_idx;
  return {
    shape: {
      ...{ hiddenSize, numHiddenLayers, numAttentionHeads, numKeyValueHeads: numAttentionHeads, headDim },
      ...{ vocabSize: config.vocab_size, numLogits: config.vocab_size },
      maxPositionEmbeddings: config.n_positions,
    },
    intermediateSize: config.n_inner ?? 4 * hiddenSize,
    activation: config.activation_function,
    epsilon: config.layer_norm_epsilon,
    tieWordEmbeddings: config.tie_word_embeddings,
    scales: Array.from({ length: numHiddenLayers }, (_, layer) => (byLayer ? scale / (layer + 1) : scale)),
  };
}

function forward(config: Gpt2, inputs: ForwardInputs): Value {
  const { sites, tokens, positions } = inputs;
  const { shape, epsilon, intermediateSize, activation } = config;
  const { hiddenSize, maxPositionEmbeddings } = shape;
  const norm = (x: Value, module: string) => layerNorm(sites, x, module, epsilon);
  const rows = reshape(positions, [(tokens.shape[0] as number) * (tokens.shape[1] as number)]);
  const places = sites.embedding(rows, 'transformer.wpe', maxPositionEmbeddings, hiddenSize);
  let x = add(embedTokens(inputs, 'transformer.wte', shape), places);
  for (let layer = 0; layer < shape.numHiddenLayers; layer++) {
    const module = `transformer.h.${layer}`;
    x = inputs.block(layer, x, (entering) => {
      const before = norm(entering, `${module}.ln_1`);
      const between = add(entering, attention(config, before, layer, inputs));
      const modules = { widen: `${module}.mlp.c_fc`, narrow: `${module}.mlp.c_proj` };
      const mlp = { hiddenSize, intermediateSize, activation, stored: 'in-out' } as const;
      return add(between, plainMlp(sites, norm(between, `${module}.ln_2`), modules, mlp));
    });
  }
  return norm(x, 'transformer.ln_f');
}

/** Columns of `c_attn`: all queries, all keys, all values. */
function attention({ shape, scales }: Gpt2, x: Value, layer: number, inputs: ForwardInputs): Value {
  const { sites } = inputs;
  const { hiddenSize } = shape;
  const module = `transformer.h.${layer}.attn`;
  const conv = { inFeatures: hiddenSize, bias: true, stored: 'in-out' } as const;
  const fused = sites.linear(x, `${module}.c_attn`, {
    ...conv,
    outFeatures: 3 * hiddenSize,
    role: 'query-key-value',
  });
  const part = (i: number) => slice(fused, { axis: 1, start: i * hiddenSize, end: (i + 1) * hiddenSize });
  const heads = splitQkv({ q: part(0), k: part(1), v: part(2) }, shape, inputs);
  const mixed = mixHeads(heads, layer, inputs, { scale: scales[layer]!, rotation: undefined });
  return sites.linear(mixed, `${module}.c_proj`, {
    ...conv,
    outFeatures: hiddenSize,
    role: 'attention-output',
  });
}
