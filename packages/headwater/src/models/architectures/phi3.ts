/** Phi-3, Phi-3.5 and Phi-4 (Abdin et al. 2024, arXiv:2404.14219): llama with fused projections, partial rotary and LongRoPE. */

import { z } from 'zod';
import type { Value } from '../../graph/ir.ts';
import { add, slice } from '../../graph/ops/index.ts';
import type { Sites } from '../../graph/sites.ts';
import type { Architecture } from '../architecture.ts';
import { type Activation, gated } from '../blocks/activation.ts';
import { mixHeads, projectOutput, splitQkv } from '../blocks/attention.ts';
import { causalLm, embedTokens } from '../blocks/causal-lm.ts';
import { rmsNorm } from '../blocks/rms-norm.ts';
import { type Rotation, rotationAt } from '../blocks/rotary.ts';
import { decoderKeys, dropout, off, parseConfig, positiveInt, type RawConfig, shapeOf } from '../config.ts';
import type { ForwardInputs } from '../model.ts';
import { partialRopeObject, ropeObjectOf, rotaryFrom, rotatedShape } from '../rope-config.ts';

const schema = z.strictObject({
  ...decoderKeys,
  rms_norm_eps: z.number().positive().default(1e-5),
  original_max_position_embeddings: positiveInt.default(4096),
  partial_rotary_factor: z.number().positive().max(1).optional(),
  rope_parameters: partialRopeObject.optional(),
  rope_scaling: partialRopeObject.optional(),
  sliding_window: positiveInt.optional(),
  resid_pdrop: dropout,
  embd_pdrop: dropout,
  // Said by published checkpoints; transformers computes nothing else.
  attention_bias: off,
  mlp_bias: off,
  lm_head_bias: off,
  full_attn_mod: z.literal(1).optional(),
  interpolate_factor: z.literal(1).optional(),
});

export const phi3: Architecture = {
  id: 'phi3',
  summary: 'Phi-3, Phi-3.5 mini, Phi-4 and Phi-4-mini (text)',
  upstreamCode: {
    AutoConfig: 'configuration_phi3.Phi3Config',
    AutoModelForCausalLM: 'modeling_phi3.Phi3ForCausalLM',
  },
  define(raw, where) {
    const parts = phi3Of(parseConfig(schema, withNewRopeNames(raw), 'Phi3ForCausalLM', where), where);
    const { shape, tieWordEmbeddings } = parts;
    return causalLm({
      ...{ architecture: 'phi3', shape, tieWordEmbeddings, tokenEmbedding: 'model.embed_tokens' },
      forward: (inputs) => forward(parts, inputs),
    });
  },
};

/** Earlier files of the family say `su` or `yarn` and mean LongRoPE. */
function withNewRopeNames(raw: RawConfig): RawConfig {
  const renamed = (value: unknown) => {
    if (typeof value !== 'object' || value === null) return value;
    const entries = Object.entries(value).map(([key, item]) => {
      const isOld = (key === 'type' || key === 'rope_type') && (item === 'su' || item === 'yarn');
      return [key, isOld ? 'longrope' : item];
    });
    return Object.fromEntries(entries);
  };
  const { rope_scaling, rope_parameters, ...rest } = raw;
  return { ...rest, rope_scaling: renamed(rope_scaling), rope_parameters: renamed(rope_parameters) };
}

type Phi3 = ReturnType<typeof phi3Of>;

function phi3Of(config: z.infer<typeof schema>, where: string) {
  const shape = shapeOf(config, where);
  const rotary = rotaryFrom(ropeObjectOf(config), {
    where,
    ...{ headDim: shape.headDim, maxPositionEmbeddings: shape.maxPositionEmbeddings },
    ropeTheta: config.rope_theta ?? 10_000,
    partialRotaryFactor: config.partial_rotary_factor ?? 1,
    originalMaxPositionEmbeddings: config.original_max_position_embeddings,
  });
  return {
    shape: rotatedShape(shape, rotary),
    rotary,
    intermediateSize: config.intermediate_size,
    activation: config.hidden_act,
    rmsNormEpsilon: config.rms_norm_eps,
    window: config.sliding_window,
    tieWordEmbeddings: config.tie_word_embeddings,
  };
}

function forward(config: Phi3, inputs: ForwardInputs): Value {
  const { sites } = inputs;
  const { shape, rmsNormEpsilon } = config;
  const norm = (x: Value, module: string) => rmsNorm(sites, x, module, rmsNormEpsilon);
  const rotation = rotationAt(inputs, config.rotary, shape.maxPositionEmbeddings);
  let x = embedTokens(inputs, 'model.embed_tokens', shape);
  for (let layer = 0; layer < shape.numHiddenLayers; layer++) {
    const module = `model.layers.${layer}`;
    x = inputs.block(layer, x, (entering) => {
      const before = norm(entering, `${module}.input_layernorm`);
      const between = add(entering, attention(config, before, layer, rotation, inputs));
      return add(between, mlp(config, sites, norm(between, `${module}.post_attention_layernorm`), module));
    });
  }
  return norm(x, 'model.norm');
}

/** Rows of `qkv_proj`: all query heads, all key heads, all value heads. */
function attention(
  { shape, window }: Phi3,
  x: Value,
  layer: number,
  rotation: Rotation,
  inputs: ForwardInputs,
): Value {
  const { hiddenSize, numAttentionHeads, numKeyValueHeads, headDim } = shape;
  const module = `model.layers.${layer}.self_attn`;
  const [queries, keys] = [numAttentionHeads * headDim, numKeyValueHeads * headDim];
  const outFeatures = queries + 2 * keys;
  const fused = inputs.sites.linear(x, `${module}.qkv_proj`, {
    ...{ inFeatures: hiddenSize, outFeatures, bias: false, role: 'query-key-value' },
  });
  const rows = {
    q: slice(fused, { axis: 1, start: 0, end: queries }),
    k: slice(fused, { axis: 1, start: queries, end: queries + keys }),
    v: slice(fused, { axis: 1, start: queries + keys, end: outFeatures }),
  };
  const mixed = mixHeads(splitQkv(rows, shape, inputs), layer, inputs, {
    ...{ scale: 1 / Math.sqrt(headDim), rotation },
    ...(window === undefined ? {} : { window }),
  });
  return projectOutput(inputs.sites, mixed, `${module}.o_proj`, shape, false);
}

interface MlpConfig {
  readonly shape: { readonly hiddenSize: number };
  readonly intermediateSize: number;
  readonly activation: Activation;
}

/** Rows of `gate_up_proj`: all of the gate, then all of what it gates. */
function mlp({ shape, intermediateSize, activation }: MlpConfig, sites: Sites, x: Value, layer: string) {
  const { hiddenSize } = shape;
  const both = sites.linear(x, `${layer}.mlp.gate_up_proj`, {
    ...{ inFeatures: hiddenSize, outFeatures: 2 * intermediateSize, bias: false, role: 'mlp-input' },
  });
  const gate = slice(both, { axis: 1, start: 0, end: intermediateSize });
  const up = slice(both, { axis: 1, start: intermediateSize, end: 2 * intermediateSize });
  return sites.linear(gated(gate, up, activation), `${layer}.mlp.down_proj`, {
    ...{ inFeatures: intermediateSize, outFeatures: hiddenSize, bias: false, role: 'mlp-output' },
  });
}
