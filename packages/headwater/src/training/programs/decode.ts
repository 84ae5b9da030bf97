/**
 * One piece of generation as a graph: T new tokens over a key-value cache with room for C. T > 1 with C = 0 is the
 * prompt, T = 1 a step. The graph never writes the cache: it returns the new rows and the caller keeps them.
 */

import { assert } from '../../base/errors.ts';
import { Graph, type Value } from '../../graph/ir.ts';
import { gather, reshape } from '../../graph/ops/index.ts';
import { logitsOf } from '../../graph/projection.ts';
import { baseSites } from '../../models/base-sites.ts';
import type { BoundTuning } from '../../tuning/kind.ts';
import { cachedAttention, type LayerCache } from './attention.ts';
import { network, type ProgramModel, sequenceInputs } from './model-graph.ts';

export interface DecodeShape {
  /** T, tokens of this piece; those past the real ones are ignored. */
  readonly length: number;
  /** C, rows of the cache. */
  readonly capacity: number;
}

export const CACHE_SIDES = ['k', 'v'] as const;
export type CacheSide = (typeof CACHE_SIDES)[number];

/** Input with the cache of a layer, [1, K, C, Dh]. */
export const cacheInput = (side: CacheSide, layer: number): string => `cache.${side}.${layer}`;
/** Output with the new rows of a layer, [1, K, T, Dh]. */
export const cacheOutput = (side: CacheSide, layer: number): string => `new.${side}.${layer}`;

/**
 * The rows with which every cache begins under a kind that puts keys and values before all sequences (`virtual.as: cache`):
 * outputs named as the new rows of each layer, [1, K, P, Dh].
 */
export function prefixProgram(model: ProgramModel, tuning: BoundTuning): Graph {
  const graph = new Graph();
  const { prefix } = tuning.wrap(graph, baseSites(graph, model), { training: false });
  assert(prefix !== undefined, `${tuning.kind} has no keys and values of its own`);
  for (let layer = 0; layer < model.definition.shape.numHiddenLayers; layer++) {
    const rows = prefix(layer);
    for (const side of CACHE_SIDES)
      graph.output(cacheOutput(side, layer), reshape(rows[side], [1, ...rows[side].shape]));
  }
  return graph;
}

/**
 * Inputs: tokens, positions int32 [1, T]; numPast int32 [1], the filled cache rows; last int32 [1], the row whose logits
 * are wanted; caches; the trained tensors. Outputs: `logits` [V] and the new cache rows.
 */
export function decodeProgram(model: ProgramModel, tuning: BoundTuning, shape: DecodeShape): Graph {
  const { length, capacity } = shape;
  const graph = new Graph();
  const inputs = sequenceInputs(graph, { batchSize: 1, length });
  const numPast = graph.input('numPast', 'int32', [1]);
  const { numKeyValueHeads, headDim, vocabSize } = model.definition.shape;
  const cache = (side: CacheSide, layer: number): Value =>
    graph.input(cacheInput(side, layer), 'float32', [1, numKeyValueHeads, capacity, headDim]);
  const layers = (layer: number): LayerCache => ({
    past: capacity === 0 ? undefined : { k: cache('k', layer), v: cache('v', layer) },
    keep: (k, v) => {
      graph.output(cacheOutput('k', layer), k);
      graph.output(cacheOutput('v', layer), v);
    },
  });
  const attend = cachedAttention(numPast, length, capacity, layers);
  const mode = { training: false, maxPositions: capacity + length };
  const net = network(graph, model, tuning, inputs, () => attend, mode);
  const row = gather(net.hidden, graph.input('last', 'int32', [1]), 0);
  graph.output('logits', reshape(logitsOf(net.output(row)), [vocabSize]));
  return graph;
}
