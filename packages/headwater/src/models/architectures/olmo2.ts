/** OLMo 2 (Team OLMo 2024, arXiv:2501.00656): norms after attention and MLP, and over whole queries and keys. */

import { z } from 'zod';
import type { Value } from '../../graph/ir.ts';
import { add } from '../../graph/ops/index.ts';
import type { Architecture } from '../architecture.ts';
import { mixHeads, projectOutput, projectQkv, splitQkv } from '../blocks/attention.ts';
import { causalLm, embedTokens } from '../blocks/causal-lm.ts';
import { gatedMlp } from '../blocks/gated-mlp.ts';
import { rmsNorm } from '../blocks/rms-norm.ts';
import { type Rotation, rotationAt } from '../blocks/rotary.ts';
import { decoderKeys, decoderOf, parseConfig } from '../config.ts';
import type { ForwardInputs } from '../model.ts';

const schema = z.strictObject({
  ...decoderKeys,
  rms_norm_eps: z.number().positive().default(1e-5),
  attention_bias: z.boolean().default(false),
});

export const olmo2: Architecture = {
  id: 'olmo2',
  summary: 'OLMo 2',
  define(raw, where) {
    const config = parseConfig(schema, raw, 'Olmo2ForCausalLM', where);
    const parts = { ...decoderOf(config, where), attentionBias: config.attention_bias };
    const { shape, tieWordEmbeddings } = parts;
    return causalLm({
      ...{ architecture: 'olmo2', shape, tieWordEmbeddings, tokenEmbedding: 'model.embed_tokens' },
      forward: (inputs) => forward(parts, inputs),
    });
  },
};

type Olmo2 = ReturnType<typeof decoderOf> & { readonly attentionBias: boolean };

function forward(config: Olmo2, inputs: ForwardInputs): Value {
  const { sites } = inputs;
  const { shape, intermediateSize, activation, rmsNormEpsilon } = config;
  const mlp = { hiddenSize: shape.hiddenSize, intermediateSize, activation, bias: false };
  const norm = (x: Value, module: string) => rmsNorm(sites, x, module, rmsNormEpsilon);
  const rotation = rotationAt(inputs, config.rotary, shape.maxPositionEmbeddings);
  let x = embedTokens(inputs, 'model.embed_tokens', shape);
  for (let layer = 0; layer < shape.numHiddenLayers; layer++) {
    const module = `model.layers.${layer}`;
    x = inputs.block(layer, x, (entering) => {
      const attended = attention(config, entering, layer, rotation, inputs);
      const between = add(entering, norm(attended, `${module}.post_attention_layernorm`));
      const fed = gatedMlp(sites, between, `${module}.mlp`, mlp);
      return add(between, norm(fed, `${module}.post_feedforward_layernorm`));
    });
  }
  return norm(x, 'model.norm');
}

function attention(
  { shape, attentionBias, rmsNormEpsilon }: Olmo2,
  x: Value,
  layer: number,
  rotation: Rotation,
  inputs: ForwardInputs,
): Value {
  const { sites } = inputs;
  const module = `model.layers.${layer}.self_attn`;
  const { q, k, v } = projectQkv(sites, x, module, shape, attentionBias);
  const normed = {
    q: rmsNorm(sites, q, `${module}.q_norm`, rmsNormEpsilon),
    k: rmsNorm(sites, k, `${module}.k_norm`, rmsNormEpsilon),
    v,
  };
  const scale = 1 / Math.sqrt(shape.headDim);
  const mixed = mixHeads(splitQkv(normed, shape, inputs), layer, inputs, { scale, rotation });
  return projectOutput(sites, mixed, `${module}.o_proj`, shape, attentionBias);
}
