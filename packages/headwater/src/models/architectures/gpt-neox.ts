/** GPT-NeoX and Pythia (Black et al. 2022, arXiv:2204.06745): fused projections head by head, partial rotary, parallel residuals. */

import { z } from 'zod';
import { HeadwaterError } from '../../base/errors.ts';
import type { Value } from '../../graph/ir.ts';
import { add, reshape, slice, transpose } from '../../graph/ops/index.ts';
import type { Architecture } from '../architecture.ts';
import { activation } from '../blocks/activation.ts';
import { mixHeads, projectOutput, type Qkv } from '../blocks/attention.ts';
import { causalLm, embedTokens } from '../blocks/causal-lm.ts';
import { layerNorm } from '../blocks/layer-norm.ts';
import { plainMlp } from '../blocks/plain-mlp.ts';
import { type Rotation, rotationAt } from '../blocks/rotary.ts';
import { commonKeys, dropout, parseConfig, shapeOf, sizeKeys } from '../config.ts';
import type { ForwardInputs } from '../model.ts';
import { partialRopeObject, ropeObjectOf, rotaryFrom, rotatedShape } from '../rope-config.ts';

const { num_key_value_heads: _, head_dim: __, ...sizes } = sizeKeys;
const share = z.number().positive().max(1);

const schema = z.strictObject({
  ...commonKeys,
  ...sizes,
  layer_norm_eps: z.number().positive().default(1e-5),
  hidden_act: activation.default('gelu'),
  attention_bias: z.boolean().default(true),
  use_parallel_residual: z.boolean().default(true),
  rope_parameters: partialRopeObject.optional(),
  rope_scaling: partialRopeObject.optional(),
  // transformers 4 has its own names; late versions write the common ones beside them.
  rotary_pct: share.optional(),
  partial_rotary_factor: share.optional(),
  rotary_emb_base: z.number().positive().optional(),
  rope_theta: z.number().positive().optional(),
  attention_dropout: dropout,
  hidden_dropout: dropout,
  classifier_dropout: dropout,
});

type Config = z.infer<typeof schema>;

export const gptNeox: Architecture = {
  id: 'gpt_neox',
  summary: 'GPT-NeoX, Pythia, Dolly and models of the same form',
  define(raw, where) {
    const parts = gptNeoxOf(parseConfig(schema, raw, 'GPTNeoXForCausalLM', where), where);
    const { shape, tieWordEmbeddings } = parts;
    return causalLm({
      ...{ architecture: 'gpt_neox', shape, tieWordEmbeddings, tokenEmbedding: 'gpt_neox.embed_in' },
      head: 'embed_out',
      // transformers 5 calls it so in memory.
      otherNames: (name) => (name === 'embed_out.weight' ? ['lm_head.weight'] : []),
      forward: (inputs) => forward(parts, inputs),
    });
  },
};

const DEFAULT_ROTARY_SHARE = 0.25;
const DEFAULT_ROPE_THETA = 10_000;

type GptNeox = ReturnType<typeof gptNeoxOf>;

function gptNeoxOf(config: Config, where: string) {
  const shape = shapeOf(config, where);
  const rotary = rotaryFrom(ropeObjectOf(config), {
    where,
    ...{ headDim: shape.headDim, maxPositionEmbeddings: shape.maxPositionEmbeddings },
    ropeTheta: same(config, 'rotary_emb_base', 'rope_theta', where) ?? DEFAULT_ROPE_THETA,
    partialRotaryFactor: same(config, 'rotary_pct', 'partial_rotary_factor', where) ?? DEFAULT_ROTARY_SHARE,
  });
  return {
    shape: rotatedShape(shape, rotary),
    rotary,
    intermediateSize: config.intermediate_size,
    activation: config.hidden_act,
    epsilon: config.layer_norm_eps,
    attentionBias: config.attention_bias,
    isParallel: config.use_parallel_residual,
    tieWordEmbeddings: config.tie_word_embeddings,
  };
}

/** One setting under two names, of which transformers reads the first alone. */
function same(config: Config, own: keyof Config, common: keyof Config, where: string): number | undefined {
  const [a, b] = [config[own], config[common]] as [number | undefined, number | undefined];
  if (b === undefined || a === b) return a;
  throw new HeadwaterError(
    'MODEL_UNSUPPORTED',
    `${common} is ${b}, but ${own} is ${a ?? 'missing'}: transformers would compute by ${own}`,
    { where, hint: `Set both to what the model was trained with.` },
  );
}

function forward(config: GptNeox, inputs: ForwardInputs): Value {
  const { sites } = inputs;
  const { shape, epsilon, intermediateSize, activation, isParallel } = config;
  const norm = (x: Value, module: string) => layerNorm(sites, x, module, epsilon);
  const rotation = rotationAt(inputs, config.rotary, shape.maxPositionEmbeddings);
  let x = embedTokens(inputs, 'gpt_neox.embed_in', shape);
  for (let layer = 0; layer < shape.numHiddenLayers; layer++) {
    const module = `gpt_neox.layers.${layer}`;
    x = inputs.block(layer, x, (entering) => {
      const before = norm(entering, `${module}.input_layernorm`);
      const between = add(entering, attention(config, before, layer, rotation, inputs));
      // In parallel the MLP sees what entered the layer, not what attention made of it.
      const fed = norm(isParallel ? entering : between, `${module}.post_attention_layernorm`);
      const modules = { widen: `${module}.mlp.dense_h_to_4h`, narrow: `${module}.mlp.dense_4h_to_h` };
      const mlp = { hiddenSize: shape.hiddenSize, intermediateSize, activation };
      return add(between, plainMlp(sites, fed, modules, mlp));
    });
  }
  return norm(x, 'gpt_neox.final_layer_norm');
}

function attention(
  { shape, attentionBias }: GptNeox,
  x: Value,
  layer: number,
  rotation: Rotation,
  inputs: ForwardInputs,
): Value {
  const { sites } = inputs;
  const { hiddenSize, headDim } = shape;
  const module = `gpt_neox.layers.${layer}.attention`;
  const fused = sites.linear(x, `${module}.query_key_value`, {
    ...{ inFeatures: hiddenSize, outFeatures: 3 * hiddenSize, bias: attentionBias },
    role: 'query-key-value',
  });
  const heads = splitInterleaved(fused, headDim, inputs);
  const mixed = mixHeads(heads, layer, inputs, { scale: 1 / Math.sqrt(headDim), rotation });
  return projectOutput(sites, mixed, `${module}.dense`, shape, attentionBias);
}

/** Rows of `query_key_value` go head by head, and within a head query, key, value: [N, H·3·Dh] → each [B, H, T, Dh]. */
function splitInterleaved(fused: Value, headDim: number, { tokens }: ForwardInputs): Qkv {
  const [batch, length] = tokens.shape as [number, number];
  const heads = (fused.shape[1] as number) / (3 * headDim);
  const split = transpose(reshape(fused, [batch, length, heads, 3 * headDim]), [0, 2, 1, 3]);
  const part = (i: number) => slice(split, { axis: 3, start: i * headDim, end: (i + 1) * headDim });
  return { q: part(0), k: part(1), v: part(2) };
}
