/**
 * The decoder that llama, mistral, qwen2, qwen3 and smollm3 share: embedding, layers of `x + attention(norm(x))` and
 * `x + mlp(norm(x))`, a last norm, a vocabulary matrix. The architectures differ only in this configuration.
 */

import type { Value } from '../../graph/ir.ts';
import { add } from '../../graph/ops/index.ts';
import type { ForwardInputs, ModelDefinition, ModelShape } from '../model.ts';
import type { Activation } from './activation.ts';
import { mixHeads, projectOutput, projectQkv, type Qkv, splitQkv } from './attention.ts';
import { causalLm, embedTokens } from './causal-lm.ts';
import { gatedMlp } from './gated-mlp.ts';
import { rmsNorm } from './rms-norm.ts';
import type { RotaryConfig } from './rope-scaling.ts';
import { type Rotation, rotationAt } from './rotary.ts';

/** How one layer places its tokens. */
export interface LayerPlan {
  /** Sliding window in tokens; undefined: full causal attention. */
  readonly window?: number | undefined;
  /** False: queries and keys are not rotated, so the layer sees order by the causal mask alone. */
  readonly rotated: boolean;
}

export interface PreNormDecoderConfig {
  readonly architecture: string;
  readonly shape: ModelShape;
  readonly intermediateSize: number;
  readonly activation: Activation;
  readonly rmsNormEpsilon: number;
  readonly rotary: RotaryConfig;
  readonly qkvBias: boolean;
  readonly outputBias: boolean;
  readonly mlpBias: boolean;
  /** RMS norm over Dh of every query and key head before rotary. */
  readonly qkNorm: boolean;
  /** One entry a layer. */
  readonly layers: readonly LayerPlan[];
  readonly tieWordEmbeddings: boolean;
}

export function preNormDecoder(config: PreNormDecoderConfig): ModelDefinition {
  const { architecture, shape, tieWordEmbeddings } = config;
  return causalLm({
    ...{ architecture, shape, tieWordEmbeddings, tokenEmbedding: 'model.embed_tokens' },
    forward: (inputs) => forward(config, inputs),
  });
}

/** Layers that differ in their windows only. */
export function rotatedLayers(windows: readonly (number | undefined)[]): LayerPlan[] {
  return windows.map((window) => ({ window, rotated: true }));
}

function forward(config: PreNormDecoderConfig, inputs: ForwardInputs): Value {
  const { sites } = inputs;
  const { shape, rmsNormEpsilon, intermediateSize, activation, mlpBias } = config;
  const mlp = { hiddenSize: shape.hiddenSize, intermediateSize, activation, bias: mlpBias };
  const rotation = rotationAt(inputs, config.rotary, shape.maxPositionEmbeddings);
  let x = embedTokens(inputs, 'model.embed_tokens', shape);
  for (let layer = 0; layer < shape.numHiddenLayers; layer++) {
    const module = `model.layers.${layer}`;
    x = inputs.block(layer, x, (entering) => {
      const before = rmsNorm(sites, entering, `${module}.input_layernorm`, rmsNormEpsilon);
      const between = add(entering, attention(config, before, layer, rotation, inputs));
      const normed = rmsNorm(sites, between, `${module}.post_attention_layernorm`, rmsNormEpsilon);
      return add(between, gatedMlp(sites, normed, `${module}.mlp`, mlp));
    });
  }
  return rmsNorm(sites, x, 'model.norm', rmsNormEpsilon);
}

function attention(
  config: PreNormDecoderConfig,
  x: Value,
  layer: number,
  rotation: Rotation,
  inputs: ForwardInputs,
): Value {
  const { sites } = inputs;
  const { shape, qkvBias, outputBias } = config;
  const module = `model.layers.${layer}.self_attn`;
  const heads = splitQkv(projectQkv(sites, x, module, shape, qkvBias), shape, inputs);
  const plan = config.layers[layer]!;
  const mixed = mixHeads(config.qkNorm ? headNorms(config, heads, module, inputs) : heads, layer, inputs, {
    scale: 1 / Math.sqrt(shape.headDim),
    ...(plan.window === undefined ? {} : { window: plan.window }),
    rotation: plan.rotated ? rotation : undefined,
  });
  return projectOutput(sites, mixed, `${module}.o_proj`, shape, outputBias);
}

function headNorms(
  { rmsNormEpsilon }: PreNormDecoderConfig,
  { q, k, v }: Qkv,
  module: string,
  { sites }: ForwardInputs,
): Qkv {
  const normed = (x: Value, name: string) => rmsNorm(sites, x, `${module}.${name}`, rmsNormEpsilon);
  return { q: normed(q, 'q_norm'), k: normed(k, 'k_norm'), v };
}
