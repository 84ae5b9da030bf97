/**
 * The encoder that bert, roberta and distilbert share (Devlin et al. 2018, arXiv:1810.04805): learnt embeddings of words,
 * positions and segments, layers of `norm(x + attention(x))` and `norm(x + mlp(x))`, every token seeing every other.
 * The architectures differ in names and in the head that each puts on the first token.
 *
 * N = B·T rows, D hidden.
 */

import { tensor } from '../../base/tensor.ts';
import type { Value } from '../../graph/ir.ts';
import { add, reshape } from '../../graph/ops/index.ts';
import type { LinearShape } from '../../graph/sites.ts';
import type { ForwardInputs, ModelShape } from '../model.ts';
import type { Activation } from './activation.ts';
import { mixHeads, projectOutput, splitQkv } from './attention.ts';
import { layerNorm } from './layer-norm.ts';
import { plainMlp } from './plain-mlp.ts';

/** Whole module names of a layer. */
export interface EncoderLayerNames {
  readonly query: string;
  readonly key: string;
  readonly value: string;
  readonly attentionOutput: string;
  readonly attentionNorm: string;
  readonly widen: string;
  readonly narrow: string;
  readonly outputNorm: string;
}

export interface PostNormEncoderConfig {
  readonly shape: ModelShape;
  readonly intermediateSize: number;
  readonly layerNormEpsilon: number;
  readonly activation: Activation;
  /** Before `word_embeddings`, `position_embeddings`, `token_type_embeddings` and `LayerNorm`: `bert.embeddings`. */
  readonly embeddings: string;
  /** Position i reads row i + offset. */
  readonly positionOffset: number;
  /** Rows of the segment embeddings, of which single texts use the first; undefined: there are none. */
  readonly typeVocabSize: number | undefined;
  readonly layer: (layer: number) => EncoderLayerNames;
}

/** Hidden states after the last layer, [N, D]. */
export function postNormEncoder(config: PostNormEncoderConfig, inputs: ForwardInputs): Value {
  const { numHiddenLayers } = config.shape;
  let x = embedded(config, inputs);
  for (let layer = 0; layer < numHiddenLayers; layer++)
    x = inputs.block(layer, x, (entering) => encoderLayer(config, inputs, layer, entering));
  return x;
}

function embedded(config: PostNormEncoderConfig, { sites, tokens, positions }: ForwardInputs): Value {
  const { shape, embeddings, positionOffset, typeVocabSize, layerNormEpsilon } = config;
  const [batch, length] = tokens.shape as [number, number];
  const rows = [batch * length];
  const int = (value: number) => tokens.graph.constant(tensor('int32', [1], Int32Array.of(value)));
  const words = sites.embedding(
    reshape(tokens, rows),
    `${embeddings}.word_embeddings`,
    shape.vocabSize,
    shape.hiddenSize,
  );
  const at = reshape(positions, rows);
  const places = sites.embedding(
    positionOffset === 0 ? at : add(at, int(positionOffset)),
    `${embeddings}.position_embeddings`,
    shape.maxPositionEmbeddings + positionOffset,
    shape.hiddenSize,
  );
  const sum = add(words, places);
  if (typeVocabSize === undefined) return layerNorm(sites, sum, `${embeddings}.LayerNorm`, layerNormEpsilon);
  const type = sites.embedding(
    int(0),
    `${embeddings}.token_type_embeddings`,
    typeVocabSize,
    shape.hiddenSize,
  );
  return layerNorm(sites, add(sum, type), `${embeddings}.LayerNorm`, layerNormEpsilon);
}

function encoderLayer(config: PostNormEncoderConfig, inputs: ForwardInputs, layer: number, x: Value): Value {
  const { shape, intermediateSize, activation, layerNormEpsilon } = config;
  const { sites } = inputs;
  const { hiddenSize, headDim } = shape;
  const names = config.layer(layer);
  const project = (module: string, role: LinearShape['role']) =>
    sites.linear(x, module, { inFeatures: hiddenSize, outFeatures: hiddenSize, bias: true, role });
  const rows = {
    q: project(names.query, 'query'),
    k: project(names.key, 'key'),
    v: project(names.value, 'value'),
  };
  const options = { scale: 1 / Math.sqrt(headDim), bidirectional: true, rotation: undefined } as const;
  const mixed = mixHeads(splitQkv(rows, shape, inputs), layer, inputs, options);
  const attended = projectOutput(sites, mixed, names.attentionOutput, shape, true);
  const between = layerNorm(sites, add(x, attended), names.attentionNorm, layerNormEpsilon);
  const wide = plainMlp(sites, between, names, { hiddenSize, intermediateSize, activation });
  return layerNorm(sites, add(between, wide), names.outputNorm, layerNormEpsilon);
}
