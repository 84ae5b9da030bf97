/**
 * The decoder that llama, mistral, qwen2 and qwen3 share: embedding, layers of `x + attention(norm(x))` and
 * `x + mlp(norm(x))`, a last norm, a vocabulary matrix. The architectures differ only in this configuration.
 */

import type { Value } from '../../graph/ir.ts';
import { add, reshape } from '../../graph/ops/index.ts';
import type { Sites } from '../../graph/sites.ts';
import { defineModel } from '../define-model.ts';
import type { ForwardInputs, ModelDefinition, ModelShape } from '../model.ts';
import { gatedMlp } from './gated-mlp.ts';
import { type AttentionConfig, groupedQueryAttention } from './grouped-query-attention.ts';
import { rmsNorm } from './rms-norm.ts';
import { type RotaryConfig, rotationAt } from './rotary.ts';

export interface PreNormDecoderConfig {
  readonly architecture: string;
  readonly shape: ModelShape;
  readonly intermediateSize: number;
  readonly rmsNormEpsilon: number;
  readonly rotary: RotaryConfig;
  readonly qkvBias: boolean;
  readonly outputBias: boolean;
  readonly mlpBias: boolean;
  readonly qkNorm: boolean;
  /** Sliding window of each layer; undefined: full causal attention. */
  readonly windows: readonly (number | undefined)[];
  readonly tieWordEmbeddings: boolean;
}

export function preNormDecoder(config: PreNormDecoderConfig): ModelDefinition {
  return defineModel({
    architecture: config.architecture,
    shape: config.shape,
    objective: 'causal-lm',
    tokenEmbedding: 'model.embed_tokens',
    headModules: [],
    forward: (inputs) => forward(config, inputs),
    output: (sites, rows) => ({ rows, weight: vocabulary(config, sites) }),
  });
}

function forward(config: PreNormDecoderConfig, inputs: ForwardInputs): Value {
  const { sites, tokens, positions, attend } = inputs;
  const { shape, rmsNormEpsilon } = config;
  const [batch, length] = tokens.shape as [number, number];
  const maxPositions = Math.min(
    inputs.maxPositions ?? shape.maxPositionEmbeddings,
    shape.maxPositionEmbeddings,
  );
  const rotation = rotationAt(positions, config.rotary, shape.headDim, maxPositions);
  const ids = reshape(tokens, [batch * length]);
  let x = sites.embedding(ids, 'model.embed_tokens', shape.vocabSize, shape.hiddenSize);
  for (let layer = 0; layer < shape.numHiddenLayers; layer++) {
    const module = `model.layers.${layer}`;
    x = inputs.block(layer, x, (entering) => {
      const attended = groupedQueryAttention(
        rmsNorm(sites, entering, `${module}.input_layernorm`, rmsNormEpsilon),
        attentionOf(config, layer),
        { sites, layer, module: `${module}.self_attn`, batch, length, rotation, attend },
      );
      const between = add(entering, attended);
      const normed = rmsNorm(sites, between, `${module}.post_attention_layernorm`, rmsNormEpsilon);
      const { hiddenSize } = shape;
      const mlp = { hiddenSize, intermediateSize: config.intermediateSize, bias: config.mlpBias };
      return add(between, gatedMlp(sites, normed, `${module}.mlp`, mlp));
    });
  }
  return rmsNorm(sites, x, 'model.norm', rmsNormEpsilon);
}

function attentionOf(config: PreNormDecoderConfig, layer: number): AttentionConfig {
  const { shape, qkvBias, outputBias } = config;
  const window = config.windows[layer];
  return {
    hiddenSize: shape.hiddenSize,
    numAttentionHeads: shape.numAttentionHeads,
    numKeyValueHeads: shape.numKeyValueHeads,
    headDim: shape.headDim,
    qkvBias,
    outputBias,
    ...(config.qkNorm ? { qkNormEpsilon: config.rmsNormEpsilon } : {}),
    ...(window === undefined ? {} : { window }),
  };
}

function vocabulary({ shape, tieWordEmbeddings }: PreNormDecoderConfig, sites: Sites): Value {
  const name = tieWordEmbeddings ? 'model.embed_tokens.weight' : 'lm_head.weight';
  return sites.parameter(name, [shape.vocabSize, shape.hiddenSize]);
}
