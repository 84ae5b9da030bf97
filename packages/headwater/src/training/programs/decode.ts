/**
 * One piece of generation as a graph: T new tokens for each of B sequences over a key-value cache with room for C. T > 1
 * is a piece of a prompt, T = 1 a step. Each sequence has its own length. The graph never writes the cache: it returns the
 * new rows and the caller keeps them.
 */

import { assert } from '../../base/errors.ts';
import { Graph, type Value } from '../../graph/ir.ts';
import { gather, reshape } from '../../graph/ops/index.ts';
import { logitsOf } from '../../graph/projection.ts';
import { baseSites } from '../../models/base-sites.ts';
import type { ModelShape } from '../../models/model.ts';
import type { BoundTuning } from '../../tuning/kind.ts';
import { cacheAttention, type LayerCache } from './attention.ts';
import { network, type ProgramModel, sequenceInputs } from './model-graph.ts';

export interface DecodeShape {
  /** B, sequences. */
  readonly batchSize: number;
  /** T, tokens of this piece; what comes after the real ones is ignored. */
  readonly length: number;
  /** C, rows of the cache, or ANY. */
  readonly capacity: number;
  /** Positions fed stay below it. */
  readonly maxPositions: number;
}

export const CACHE_SIDES = ['k', 'v'] as const;
export type CacheSide = (typeof CACHE_SIDES)[number];

/** Input with the cache of a layer, [B, K, C, Dh]. */
export const cacheInput = (side: CacheSide, layer: number): string => `cache.${side}.${layer}`;
/** Output with the new rows of a layer, [B, K, T, Dh]. */
export const cacheOutput = (side: CacheSide, layer: number): string => `new.${side}.${layer}`;
/** Output with the rows of a layer that come before all sequences, [1, K, P, Dh]. */
export const prefixOutput = (side: CacheSide, layer: number): string => `prefix.${side}.${layer}`;

/** The rows with which every cache begins under a kind that puts keys and values before all sequences (`virtual.as: cache`). */
export function prefixProgram(model: ProgramModel, tuning: BoundTuning): Graph {
  const graph = new Graph();
  const { prefix } = tuning.wrap(graph, baseSites(graph, model), { training: false });
  assert(prefix !== undefined, `${tuning.kind} has no keys and values of its own`);
  for (let layer = 0; layer < model.definition.shape.numHiddenLayers; layer++) {
    const rows = prefix(layer);
    for (const side of CACHE_SIDES)
      graph.output(prefixOutput(side, layer), reshape(rows[side], [1, ...rows[side].shape]));
  }
  return graph;
}

/** Whether the program asks how long each sequence is: some of them may be longer than the model's first context. */
export function needsReach({ longContextAbove }: ModelShape, maxPositions: number): boolean {
  return longContextAbove !== undefined && maxPositions > longContextAbove;
}

/**
 * Inputs: tokens, positions int32 [B, T]; numPast int32 [B], the filled cache rows; last int32 [B], the rows of [B·T] whose
 * logits are wanted; reach int32 [B], the tokens of each sequence with these, where `needsReach`; caches; the trained
 * tensors. Outputs: `logits` [B, V] and the new rows.
 */
export function decodeProgram(model: ProgramModel, tuning: BoundTuning, shape: DecodeShape): Graph {
  const { batchSize, length, capacity, maxPositions } = shape;
  const graph = new Graph();
  const inputs = {
    ...sequenceInputs(graph, { batchSize, length }),
    ...(needsReach(model.definition.shape, maxPositions)
      ? { reach: graph.input('reach', 'int32', [batchSize]) }
      : {}),
  };
  const numPast = graph.input('numPast', 'int32', [batchSize]);
  const { numKeyValueHeads, headDim } = model.definition.shape;
  const cache = (side: CacheSide, layer: number): Value =>
    graph.input(cacheInput(side, layer), 'float32', [batchSize, numKeyValueHeads, capacity, headDim]);
  const layers = (layer: number): LayerCache => ({
    past: { k: cache('k', layer), v: cache('v', layer) },
    keep: (k, v) => {
      graph.output(cacheOutput('k', layer), k);
      graph.output(cacheOutput('v', layer), v);
    },
  });
  const mode = { training: false, maxPositions };
  const net = network(graph, model, tuning, inputs, () => cacheAttention(numPast, layers), mode);
  const rows = gather(net.hidden, graph.input('last', 'int32', [batchSize]), 0);
  graph.output('logits', logitsOf(net.output(rows)));
  return graph;
}
