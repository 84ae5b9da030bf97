/** Gemma (Gemma Team 2024, arXiv:2403.08295): llama's layers with scaled embeddings, norms around zero and GELU gates. */

import { z } from 'zod';
import type { Value } from '../../graph/ir.ts';
import { add } from '../../graph/ops/index.ts';
import type { Architecture } from '../architecture.ts';
import { activation } from '../blocks/activation.ts';
import { mixHeads, projectOutput, projectQkv, splitQkv } from '../blocks/attention.ts';
import { causalLm, embedTokens } from '../blocks/causal-lm.ts';
import { gatedMlp } from '../blocks/gated-mlp.ts';
import { zeroCentredRmsNorm } from '../blocks/rms-norm.ts';
import { rotationAt } from '../blocks/rotary.ts';
import { decoderKeys, decoderOf, parseConfig, positiveInt } from '../config.ts';
import type { ForwardInputs } from '../model.ts';

const schema = z.strictObject({
  ...decoderKeys,
  // Defaults of transformers: published files rely on them.
  num_key_value_heads: positiveInt.default(16),
  head_dim: positiveInt.default(256),
  hidden_act: activation.default('gelu_pytorch_tanh'),
  /** Not read by transformers, which computes by hidden_act. */
  hidden_activation: activation.optional(),
  tie_word_embeddings: z.boolean().default(true),
  attention_bias: z.boolean().default(false),
});

export const gemma: Architecture = {
  id: 'gemma',
  summary: 'Gemma 1 (2B, 7B) and CodeGemma',
  define(raw, where) {
    const config = parseConfig(schema, raw, 'GemmaForCausalLM', where);
    const parts = { ...decoderOf(config, where), attentionBias: config.attention_bias };
    const { shape, tieWordEmbeddings } = parts;
    return causalLm({
      ...{ architecture: 'gemma', shape, tieWordEmbeddings, tokenEmbedding: 'model.embed_tokens' },
      forward: (inputs) => forward(parts, inputs),
    });
  },
};

type Gemma = ReturnType<typeof decoderOf> & { readonly attentionBias: boolean };

function forward(config: Gemma, inputs: ForwardInputs): Value {
  const { sites } = inputs;
  const { shape, intermediateSize, rmsNormEpsilon, attentionBias } = config;
  const mlp = { hiddenSize: shape.hiddenSize, intermediateSize, activation: config.activation, bias: false };
  const norm = (x: Value, module: string) => zeroCentredRmsNorm(sites, x, module, rmsNormEpsilon);
  const rotation = rotationAt(inputs, config.rotary, shape.maxPositionEmbeddings);
  const options = { scale: 1 / Math.sqrt(shape.headDim), rotation };
  let x = embedTokens(inputs, 'model.embed_tokens', shape, Math.sqrt(shape.hiddenSize));
  for (let layer = 0; layer < shape.numHiddenLayers; layer++) {
    const module = `model.layers.${layer}`;
    const attention = `${module}.self_attn`;
    x = inputs.block(layer, x, (entering) => {
      const normed = norm(entering, `${module}.input_layernorm`);
      const heads = splitQkv(projectQkv(sites, normed, attention, shape, attentionBias), shape, inputs);
      const mixed = mixHeads(heads, layer, inputs, options);
      const between = add(entering, projectOutput(sites, mixed, `${attention}.o_proj`, shape, attentionBias));
      const fed = gatedMlp(sites, norm(between, `${module}.post_attention_layernorm`), `${module}.mlp`, mlp);
      return add(between, fed);
    });
  }
  return norm(x, 'model.norm');
}
