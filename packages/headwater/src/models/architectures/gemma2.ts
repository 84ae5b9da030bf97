/** Gemma 2 (Gemma Team 2024, arXiv:2408.00118): norms around each part, capped scores and logits, alternating windows. */

import { z } from 'zod';
import type { Value } from '../../graph/ir.ts';
import type { Architecture } from '../architecture.ts';
import { mixHeads, projectOutput, projectQkv, splitQkv } from '../blocks/attention.ts';
import { causalLm, embedTokens } from '../blocks/causal-lm.ts';
import { gatedMlp } from '../blocks/gated-mlp.ts';
import { zeroCentredRmsNorm } from '../blocks/rms-norm.ts';
import { type Rotation, rotationAt } from '../blocks/rotary.ts';
import { sandwiched } from '../blocks/sandwich.ts';
import { parseConfig, type RawConfig, shapeOf, windowsOf } from '../config.ts';
import { checkHiddenAct, gemmaKeys } from '../gemma-config.ts';
import type { AttendOptions, ForwardInputs } from '../model.ts';
import { ropeObject, ropeObjectOf, rotaryFrom, rotatedShape } from '../rope-config.ts';

const schema = z.strictObject({
  ...gemmaKeys,
  rope_parameters: ropeObject.optional(),
  rope_scaling: ropeObject.optional(),
  rope_theta: z.number().positive().default(10_000),
});

export const gemma2: Architecture = {
  id: 'gemma2',
  summary: 'Gemma 2',
  define(raw, where) {
    const config = parseConfig(schema, raw, 'Gemma2ForCausalLM', where);
    checkHiddenAct(config, where);
    const parts = gemma2Of(config, raw, where);
    const { shape, tieWordEmbeddings, logitCap } = parts;
    return causalLm({
      ...{ architecture: 'gemma2', shape, tieWordEmbeddings, tokenEmbedding: 'model.embed_tokens' },
      softCap: logitCap,
      forward: (inputs) => forward(parts, inputs),
    });
  },
};

/** Caps when the key is absent; `null` switches a cap off. */
const DEFAULT_CAPS = { final_logit_softcapping: 30, attn_logit_softcapping: 50 } as const;

type Gemma2 = ReturnType<typeof gemma2Of>;

function gemma2Of(config: z.infer<typeof schema>, raw: RawConfig, where: string) {
  const shape = shapeOf(config, where);
  const { numHiddenLayers } = shape;
  const rotary = rotaryFrom(ropeObjectOf(config), {
    where,
    ...{ headDim: shape.headDim, maxPositionEmbeddings: shape.maxPositionEmbeddings },
    ropeTheta: config.rope_theta,
  });
  const capOf = (key: keyof typeof DEFAULT_CAPS) =>
    raw[key] === null ? undefined : (config[key] ?? DEFAULT_CAPS[key]);
  // Without layer_types every other layer slides, the first among them.
  const types =
    config.layer_types ??
    Array.from({ length: numHiddenLayers }, (_, i) => (i % 2 === 0 ? 'sliding_attention' : 'full_attention'));
  const window = raw.sliding_window === null ? undefined : config.sliding_window;
  const scoreCap = capOf('attn_logit_softcapping');
  return {
    shape: rotatedShape(shape, rotary),
    rotary,
    intermediateSize: config.intermediate_size,
    activation: config.hidden_activation,
    epsilon: config.rms_norm_eps,
    attentionBias: config.attention_bias,
    tieWordEmbeddings: config.tie_word_embeddings,
    logitCap: capOf('final_logit_softcapping'),
    attend: windowsOf(types, numHiddenLayers, window, where).map(
      (window): AttendOptions => ({
        scale: config.query_pre_attn_scalar ** -0.5,
        ...(window === undefined ? {} : { window }),
        ...(scoreCap === undefined ? {} : { softCap: scoreCap }),
      }),
    ),
  };
}

function forward(config: Gemma2, inputs: ForwardInputs): Value {
  const { sites } = inputs;
  const { shape, epsilon, intermediateSize, activation } = config;
  const mlp = { hiddenSize: shape.hiddenSize, intermediateSize, activation, bias: false };
  const rotation = rotationAt(inputs, config.rotary, shape.maxPositionEmbeddings);
  let x = embedTokens(inputs, 'model.embed_tokens', shape, Math.sqrt(shape.hiddenSize));
  for (let layer = 0; layer < shape.numHiddenLayers; layer++) {
    const module = `model.layers.${layer}`;
    const norms = (before: string, after: string) => ({
      ...{ before: `${module}.${before}_layernorm`, after: `${module}.${after}_layernorm`, epsilon },
    });
    x = inputs.block(layer, x, (entering) => {
      const between = sandwiched(sites, entering, norms('input', 'post_attention'), (inner) =>
        attention(config, inner, layer, rotation, inputs),
      );
      return sandwiched(sites, between, norms('pre_feedforward', 'post_feedforward'), (inner) =>
        gatedMlp(sites, inner, `${module}.mlp`, mlp),
      );
    });
  }
  return zeroCentredRmsNorm(sites, x, 'model.norm', epsilon);
}

function attention(
  { shape, attentionBias, attend }: Gemma2,
  x: Value,
  layer: number,
  rotation: Rotation,
  inputs: ForwardInputs,
): Value {
  const module = `model.layers.${layer}.self_attn`;
  const rows = projectQkv(inputs.sites, x, module, shape, attentionBias);
  const options = { ...attend[layer]!, rotation };
  const mixed = mixHeads(splitQkv(rows, shape, inputs), layer, inputs, options);
  return projectOutput(inputs.sites, mixed, `${module}.o_proj`, shape, attentionBias);
}
