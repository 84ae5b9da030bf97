/**
 * Attention for the two surroundings of a network: whole sequences with packing isolation, and new tokens over a
 * key-value cache. Grouped queries share keys and values without repeating them. Knows no architecture.
 *
 * B batch, H heads, K key-value heads, G = H/K, T queries, S keys, Dh head dim.
 */

import { assert } from '../../base/errors.ts';
import { tensor } from '../../base/tensor.ts';
import type { Graph, Value } from '../../graph/ir.ts';
import {
  add,
  and,
  cachedAttention,
  concat,
  equal,
  expand,
  greater,
  lessOrEqual,
  matmul,
  reshape,
  slice,
  softmax,
  where,
} from '../../graph/ops/index.ts';
import { softCapped } from '../../graph/projection.ts';
import { dim } from '../../graph/shapes.ts';
import type { Attend, AttendOptions } from '../../models/model.ts';

/** Finite, so that a row of masked scores would give a uniform distribution and never NaN. */
const MASKED = -1e30;

/**
 * softmax(scale · q kᵀ + mask) v with q [B, H, T, Dh], k and v [B, K, S, Dh], mask [B, 1, T, S] → [B, H, T, Dh].
 * The G·T queries of one key-value head are rows of one product.
 */
export function attention(
  q: Value,
  k: Value,
  v: Value,
  mask: Value,
  { scale, softCap }: AttendOptions,
): Value {
  const [B, H, T, Dh] = q.shape as [number, number, number, number];
  const [, K, S] = k.shape as [number, number, number, number];
  const rows = [B, K, (H / K) * T];
  const products = matmul(reshape(q, [...rows, Dh]), k, { transB: true, alpha: scale });
  const scores = softCap === undefined ? products : softCapped(products, softCap);
  const weights = softmax(add(reshape(scores, [B, H, T, S]), mask));
  return reshape(matmul(reshape(weights, [...rows, S]), v), [B, H, T, Dh]);
}

/** Keys and values at the positions 0 … P − 1 of every sequence, before its own tokens. */
export interface SequencePrefix {
  /** P. */
  readonly count: number;
  /** [K, P, Dh]. */
  readonly of: (layer: number) => { readonly k: Value; readonly v: Value };
  /** int32 [B, T]: of the tokens, P for the first of each sequence. */
  readonly positions: Value;
}

/**
 * Causal attention inside segments: query i of a row sees key j when j ≤ i, both have the same segment id and, with a
 * window w, j > i − w. Padding (segment 0) sees padding, hence itself, so no row is empty. segments int32 [B, T].
 * Every query also sees the keys of a prefix, within its window.
 */
export function segmentAttention(segments: Value, prefix?: SequencePrefix): Attend {
  const [B, T] = segments.shape as [number, number];
  const { graph } = segments;
  const before: Visibility = (options) => (prefix === undefined ? [] : [seesPrefix(prefix, options)]);
  const columns = range(graph, T, 0, [1, 1, 1, T]);
  const sees: Visibility = ({ window, bidirectional }) => {
    const causal = lessOrEqual(columns, range(graph, T, 0, [1, 1, T, 1]));
    const same = equal(reshape(segments, [B, 1, T, 1]), reshape(segments, [B, 1, 1, T]));
    const near =
      window === undefined || window >= T
        ? undefined
        : greater(columns, range(graph, T, -window, [1, 1, T, 1]));
    if (bidirectional) {
      assert(window === undefined, 'windows of encoders are not defined here');
      return [same];
    }
    return [and(same, near === undefined ? causal : and(causal, near))];
  };
  const masks = maskPerWindow(graph, (options) => [...before(options), ...sees(options)]);
  return (layer, q, ownK, ownV, options) => {
    const first = prefix?.of(layer);
    const k = first === undefined ? ownK : behind(first.k, ownK);
    const v = first === undefined ? ownV : behind(first.v, ownV);
    return options.bidirectional
      ? attention(q, k, v, masks(options), options)
      : causalBlocks(q, k, v, masks(options), options);
  };
}

/** Key j of the prefix is at position j: a query at position p sees it when j > p − window. [B, 1, T, P]. */
function seesPrefix({ positions, count }: SequencePrefix, { window = NO_WINDOW }: AttendOptions): Value {
  const { graph, shape } = positions;
  const [B, T] = shape as [number, number];
  const reach = add(reshape(positions, [B, 1, T, 1]), range(graph, 1, -window, [1, 1, 1, 1]));
  return greater(range(graph, count, 0, [1, 1, 1, count]), reach);
}

/** Beyond all positions. */
const NO_WINDOW = 2 ** 30;

/** [K, P, Dh] for every row before [B, K, T, Dh]. */
function behind(first: Value, rows: Value): Value {
  const B = dim(rows.shape, 0);
  const [K, P, Dh] = first.shape as [number, number, number];
  return concat([expand(reshape(first, [1, K, P, Dh]), [B, K, P, Dh]), rows], 2);
}

/** Queries per block: small enough to skip most of the masked half, large enough for efficient products. */
const BLOCK = 64;

/**
 * Attention whose mask is zero only for j ≤ i, computed in blocks of queries: block [s, e) meets keys [0, e) alone, so the
 * part above the diagonal is mostly never computed (a quarter of the work at two blocks, towards half at many). Keys that
 * come before the first query are met by all blocks.
 */
function causalBlocks(q: Value, k: Value, v: Value, mask: Value, options: AttendOptions): Value {
  const T = dim(q.shape, 2);
  const before = dim(k.shape, 2) - T;
  const count = Math.max(1, Math.floor(T / BLOCK));
  if (count === 1) return attention(q, k, v, mask, options);
  const size = Math.ceil(T / count);
  const parts: Value[] = [];
  for (let start = 0; start < T; start += size) {
    const end = Math.min(T, start + size);
    const keys = { axis: 2, start: 0, end: before + end };
    const rows = { axis: 2, start, end };
    const visible = slice(slice(mask, rows), { ...keys, axis: 3 });
    parts.push(attention(slice(q, rows), slice(k, keys), slice(v, keys), visible, options));
  }
  return concat(parts, 2);
}

/** The keys and values of one layer. */
export interface LayerCache {
  /** What the cache holds before this run, [B, K, C, Dh]. */
  readonly past: { readonly k: Value; readonly v: Value };
  /** Called with the new rows [B, K, T, Dh]. */
  readonly keep: (k: Value, v: Value) => void;
}

/**
 * Attention of T new tokens a row over C cache rows, of which the first `numPast` (int32 [B]) are filled, and over
 * themselves. New token i of row b has index numPast_b + i in its sequence; cache row j has index j.
 */
export function cacheAttention(numPast: Value, layers: (layer: number) => LayerCache): Attend {
  return (layer, q, k, v, options) => {
    assert(!options.bidirectional, 'a cache has no later tokens to look at');
    const { past, keep } = layers(layer);
    keep(k, v);
    return cachedAttention({ q, k, v, pastK: past.k, pastV: past.v, numPast }, options);
  };
}

/** Of each group of keys: which query sees which key. */
type Visibility = (options: AttendOptions) => readonly Value[];

/** The additive mask [.., T, S] is built once per window, from what each group of keys shows, and shared by all layers. */
function maskPerWindow(graph: Graph, sees: Visibility): (options: AttendOptions) => Value {
  const masks = new Map<string, Value>();
  return (options) => {
    const key = `${options.window} ${options.bidirectional}`;
    const known = masks.get(key);
    if (known !== undefined) return known;
    const parts = sees(options).map((seen) => where(seen, graph.scalar(0), graph.scalar(MASKED)));
    const mask = parts.length === 1 ? parts[0]! : concat(parts, 3);
    masks.set(key, mask);
    return mask;
  };
}

/** start … start + count − 1 as an int32 constant. */
function range(graph: Graph, count: number, start: number, shape: readonly number[]): Value {
  return graph.constant(
    tensor(
      'int32',
      shape,
      Int32Array.from({ length: count }, (_, i) => start + i),
    ),
  );
}
