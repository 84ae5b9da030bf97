/**
 * Gemma 3 (Gemma Team 2025, arXiv:2503.19786): norms around each part and on query and key heads, two rotary tables. As a
 * text model, and as the text side of the models that also see images; pictures are not read here.
 */

import { z } from 'zod';
import type { Value } from '../../graph/ir.ts';
import type { Architecture } from '../architecture.ts';
import { mixHeads, projectOutput, projectQkv, splitQkv } from '../blocks/attention.ts';
import { causalLm, embedTokens } from '../blocks/causal-lm.ts';
import { gatedMlp } from '../blocks/gated-mlp.ts';
import { zeroCentredRmsNorm } from '../blocks/rms-norm.ts';
import { type Rotation, rotationAt } from '../blocks/rotary.ts';
import { sandwiched } from '../blocks/sandwich.ts';
import { layerCount, parseConfig, positiveInt, type RawConfig, shapeOf, windowsOf } from '../config.ts';
import { checkHiddenAct, gemmaKeys } from '../gemma-config.ts';
import type { ForwardInputs } from '../model.ts';
import { ropeObject, rotaryFrom, rotatedShape } from '../rope-config.ts';

// transformers computes nothing with a cap of attention scores here, so it is an unknown key.
const { attn_logit_softcapping: _, ...keys } = gemmaKeys;

const textSchema = z.strictObject({
  ...keys,
  // The text side of published files says only what differs from these.
  vocab_size: positiveInt.default(262_208),
  hidden_size: positiveInt.default(2304),
  intermediate_size: positiveInt.default(9216),
  num_hidden_layers: layerCount.default(26),
  num_attention_heads: positiveInt.default(8),
  max_position_embeddings: positiveInt.default(131_072),
  /** Every so many layers one sees everything, where layer_types does not say which. */
  sliding_window_pattern: positiveInt.default(6),
  /** Written by transformers 5, never read. */
  _sliding_window_pattern: positiveInt.optional(),
  rope_parameters: z
    .strictObject({
      full_attention: ropeObject.nullable().optional(),
      sliding_attention: ropeObject.nullable().optional(),
    })
    .optional(),
  // transformers 4: of the layers that see everything, of the others, and of the former again.
  rope_theta: z.number().positive().default(1_000_000),
  rope_local_base_freq: z.number().positive().default(10_000),
  rope_scaling: ropeObject.optional(),
});

export const gemma3Text: Architecture = {
  id: 'gemma3_text',
  summary: 'Gemma 3 text models (270M, 1B)',
  define: (raw, where) => {
    const config = parseConfig(textSchema, raw, 'Gemma3ForCausalLM', where);
    return modelOf(gemma3Of(config, raw, where), {
      architecture: 'gemma3_text',
      root: 'model',
      softCap: config.final_logit_softcapping,
    });
  },
};

const tokenIndex = z.int().nonnegative().optional();

const wholeSchema = z.strictObject({
  text_config: z.record(z.string(), z.unknown()).default({}),
  vision_config: z.record(z.string(), z.unknown()).optional(),
  mm_tokens_per_image: positiveInt.optional(),
  boi_token_index: tokenIndex,
  eoi_token_index: tokenIndex,
  image_token_index: tokenIndex,
  boi_token_id: tokenIndex,
  eoi_token_id: tokenIndex,
  image_token_id: tokenIndex,
  tie_word_embeddings: z.boolean().default(true),
});

export const gemma3: Architecture = {
  id: 'gemma3',
  summary: 'Gemma 3 models that also see images (4B, 12B, 27B): their text side',
  define(raw, where) {
    const whole = parseConfig(wholeSchema, raw, 'Gemma3ForConditionalGeneration', where);
    const { final_logit_softcapping: __, ...textKeys } = textSchema.shape;
    const text = parseConfig(z.strictObject(textKeys), whole.text_config, 'Gemma3ForCausalLM', where);
    const { tie_word_embeddings: tieWordEmbeddings } = whole;
    return modelOf(
      { ...gemma3Of(text, whole.text_config, where), tieWordEmbeddings },
      { architecture: 'gemma3', root: 'model.language_model', otherNames: filedNames },
    );
  },
};

/** Files keep `language_model.model.…` for what transformers 5 calls `model.language_model.…`. */
function filedNames(name: string): string[] {
  if (name === 'lm_head.weight') return ['language_model.lm_head.weight'];
  return [name.replace(/^model\.language_model\./, 'language_model.model.')];
}

interface Naming {
  readonly architecture: string;
  /** Module that holds the layers. */
  readonly root: string;
  readonly softCap?: number | undefined;
  readonly otherNames?: (name: string) => readonly string[];
}

function modelOf(config: Gemma3, { root, ...naming }: Naming) {
  const { shape, tieWordEmbeddings } = config;
  return causalLm({
    ...{ ...naming, shape, tieWordEmbeddings, tokenEmbedding: `${root}.embed_tokens` },
    forward: (inputs) => forward(config, root, inputs),
  });
}

type Gemma3 = ReturnType<typeof gemma3Of>;
type TextConfig = Omit<z.infer<typeof textSchema>, 'final_logit_softcapping'>;

function gemma3Of(config: TextConfig, raw: RawConfig, where: string) {
  checkHiddenAct(config, where);
  const shape = shapeOf(config, where);
  const { numHiddenLayers, headDim, maxPositionEmbeddings } = shape;
  const pattern = config.sliding_window_pattern;
  const types =
    config.layer_types ??
    Array.from({ length: numHiddenLayers }, (_, i) =>
      (i + 1) % pattern === 0 ? 'full_attention' : 'sliding_attention',
    );
  const window = raw.sliding_window === null ? undefined : config.sliding_window;
  const { full_attention, sliding_attention } = config.rope_parameters ?? {};
  const context = { where, headDim, maxPositionEmbeddings };
  const full = rotaryFrom(
    { rope: { ...full_attention, ...config.rope_scaling }, key: 'rope_parameters.full_attention' },
    { ...context, ropeTheta: config.rope_theta },
  );
  const sliding = rotaryFrom(
    { rope: { ...sliding_attention }, key: 'rope_parameters.sliding_attention' },
    { ...context, ropeTheta: config.rope_local_base_freq },
  );
  return {
    shape: rotatedShape(shape, full),
    rotaries: { full, sliding },
    windows: windowsOf(types, numHiddenLayers, window, where),
    scale: config.query_pre_attn_scalar ** -0.5,
    intermediateSize: config.intermediate_size,
    activation: config.hidden_activation,
    epsilon: config.rms_norm_eps,
    attentionBias: config.attention_bias,
    tieWordEmbeddings: config.tie_word_embeddings,
  };
}

function forward(config: Gemma3, root: string, inputs: ForwardInputs): Value {
  const { sites } = inputs;
  const { shape, epsilon, intermediateSize, activation, rotaries } = config;
  const mlp = { hiddenSize: shape.hiddenSize, intermediateSize, activation, bias: false };
  const full = rotationAt(inputs, rotaries.full, shape.maxPositionEmbeddings);
  const sliding = rotationAt(inputs, rotaries.sliding, shape.maxPositionEmbeddings);
  let x = embedTokens(inputs, `${root}.embed_tokens`, shape, Math.sqrt(shape.hiddenSize));
  for (let layer = 0; layer < shape.numHiddenLayers; layer++) {
    const module = `${root}.layers.${layer}`;
    const rotation = config.windows[layer] === undefined ? full : sliding;
    const norms = (before: string, after: string) => ({
      ...{ before: `${module}.${before}_layernorm`, after: `${module}.${after}_layernorm`, epsilon },
    });
    x = inputs.block(layer, x, (entering) => {
      const between = sandwiched(sites, entering, norms('input', 'post_attention'), (inner) =>
        attention(config, inner, layer, `${module}.self_attn`, rotation, inputs),
      );
      return sandwiched(sites, between, norms('pre_feedforward', 'post_feedforward'), (inner) =>
        gatedMlp(sites, inner, `${module}.mlp`, mlp),
      );
    });
  }
  return zeroCentredRmsNorm(sites, x, `${root}.norm`, epsilon);
}

function attention(
  { shape, attentionBias, epsilon, windows, scale }: Gemma3,
  x: Value,
  layer: number,
  module: string,
  rotation: Rotation,
  inputs: ForwardInputs,
): Value {
  const { sites } = inputs;
  const { q, k, v } = splitQkv(projectQkv(sites, x, module, shape, attentionBias), shape, inputs);
  const heads = {
    q: zeroCentredRmsNorm(sites, q, `${module}.q_norm`, epsilon),
    k: zeroCentredRmsNorm(sites, k, `${module}.k_norm`, epsilon),
    v,
  };
  const window = windows[layer];
  const mixed = mixHeads(heads, layer, inputs, {
    ...{ scale, rotation },
    ...(window === undefined ? {} : { window }),
  });
  return projectOutput(sites, mixed, `${module}.o_proj`, shape, attentionBias);
}
