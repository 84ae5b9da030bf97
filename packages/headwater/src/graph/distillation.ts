/**
 * Cross-entropy against distributions of which k entries a row are known, and such distributions read out of a network: in
 * chunks of rows like the loss of labels, so that at most a chunk of [m, V] lives at a time. M rows, V vocabulary.
 */

import { assert } from '../base/errors.ts';
import { tensor } from '../base/tensor.ts';
import { availableAfter } from './available-after.ts';
import { LOSS_CHUNK_BYTES } from './cross-entropy.ts';
import type { Value } from './ir.ts';
import {
  add,
  concat,
  exp,
  gather,
  logSoftmax,
  matmul,
  mul,
  neg,
  reduceSum,
  reshape,
  scale,
  scatterAddRows,
  slice,
  sub,
  takeLast,
  topK,
  withGradients,
} from './ops/index.ts';
import type { Projection } from './projection.ts';
import { dim } from './shapes.ts';
import { vocabularyLogits, vocabularyMix } from './vocabulary-product.ts';

/** q_i: `probabilities` [M, k] of the tokens `ids` int32 [M, k]; of an id that comes twice the sum counts, zeros say nothing. */
export interface SparseRows {
  readonly ids: Value;
  readonly probabilities: Value;
}

interface Chunk {
  readonly start: number;
  readonly end: number;
  readonly rows: Value;
  /** [m, V], capped. */
  readonly logits: Value;
}

function chunks({ rows, weight, ...rest }: Projection, chunkBytes: number): Chunk[] {
  const total = dim(rows.shape, 0);
  const most = Math.max(1, Math.floor(chunkBytes / (4 * dim(weight.shape, 0))));
  const size = Math.ceil(total / Math.ceil(total / most));
  return Array.from({ length: Math.ceil(total / size) }, (_, i) => {
    const [start, end] = [i * size, Math.min(total, (i + 1) * size)];
    const part = slice(rows, { axis: 0, start, end });
    return { start, end, rows: part, logits: vocabularyLogits({ ...rest, weight, rows: part }) };
  });
}

/**
 * Σ_i w_i · −Σ_v q_i(v) log p_i(v), p = softmax(logits / τ), w [M] → scalar. With S_i = Σ_v q_i(v) and f = 1 − (logits / c)² the
 * slope of the cap (1 without), u_i = (w_i / τ) f_i (S_i p_i − q_i) is the gradient of the product; dh_i = u_i W,
 * dW = Σ_i u_iᵀ h_i, db = Σ_i u_i.
 */
export function softCrossEntropy(
  projection: Projection,
  soft: SparseRows,
  weights: Value,
  temperature: number,
  chunkBytes = LOSS_CHUNK_BYTES,
): Value {
  const { rows, weight, bias } = projection;
  assert(dim(soft.ids.shape, 0) === dim(rows.shape, 0), `distributions [${soft.ids.shape}] of other rows`);
  const parts = chunks(projection, chunkBytes).map((chunk) => {
    const own = softChunk(chunk, soft, temperature);
    const w = slice(weights, { axis: 0, start: chunk.start, end: chunk.end });
    return { ...own, rows: chunk.rows, weighted: mul(own.loss, w), w };
  });
  const loss = reduceSum(
    concat(
      parts.map(({ weighted }) => weighted),
      0,
    ),
    [0],
  );
  const slopes = parts.map(({ w, loss: own, ...part }) => ({
    rows: part.rows,
    // The loss takes what it needs before the log-probabilities make room for the next chunk.
    u: slopeOf(part, availableAfter(w, [own]), projection, temperature),
  }));
  const dRows = () =>
    concat(
      slopes.map(({ u }) => vocabularyMix(u, weight)),
      0,
    );
  const dWeight = () => slopes.map(({ u, rows: h }) => matmul(u, h, { transA: true })).reduce(add);
  const dBias = () => slopes.map(({ u }) => reduceSum(u, [0])).reduce(add);
  const wrt = bias === undefined ? [rows, weight] : [rows, weight, bias];
  return withGradients(loss, wrt, (input) => [dRows, dWeight, dBias][input]!());
}

interface SoftChunk {
  readonly logits: Value;
  readonly logProbs: Value;
  /** q, [m, V]. */
  readonly dense: () => Value;
  /** S, [m, 1]. */
  readonly total: Value;
  /** [m]. */
  readonly loss: Value;
}

function softChunk({ start, end, logits }: Chunk, soft: SparseRows, temperature: number): SoftChunk {
  const [m, V, k] = [end - start, dim(logits.shape, 1), dim(soft.ids.shape, 1)];
  const flat = flatIds(slice(soft.ids, { axis: 0, start, end }), V);
  const q = slice(soft.probabilities, { axis: 0, start, end });
  const logProbs = logSoftmax(temperature === 1 ? logits : scale(logits, 1 / temperature));
  const known = reshape(gather(reshape(logProbs, [m * V]), flat), [m, k]);
  return {
    logits,
    logProbs,
    dense: () => reshape(scatterAddRows(reshape(q, [m * k, 1]), flat, m * V), [m, V]),
    total: reduceSum(q, [1], true),
    loss: neg(reduceSum(mul(q, known), [1])),
  };
}

/** Row i, column v → i V + v: int32 [m, k] → [m · k]. */
function flatIds(ids: Value, V: number): Value {
  const [m, k] = [dim(ids.shape, 0), dim(ids.shape, 1)];
  const begins = Int32Array.from({ length: m }, (_, i) => i * V);
  return reshape(add(ids, ids.graph.constant(tensor('int32', [m, 1], begins))), [m * k]);
}

/** u, [m, V]. */
function slopeOf(
  { logits, logProbs, dense, total }: Pick<SoftChunk, 'logits' | 'logProbs' | 'dense' | 'total'>,
  weights: Value,
  { softCap }: Projection,
  temperature: number,
): Value {
  const w = reshape(temperature === 1 ? weights : scale(weights, 1 / temperature), [dim(logits.shape, 0), 1]);
  const u = mul(sub(mul(exp(logProbs), total), dense()), w);
  if (softCap === undefined) return u;
  return mul(u, sub(logits.graph.scalar(1), scale(mul(logits, logits), 1 / softCap ** 2)));
}

/**
 * The k likeliest tokens of softmax(logits / τ), the likeliest first, and −log softmax(logits) of the targets, int32 [M]:
 * ids int32 [M, k], probabilities [M, k] as they are, without what the other tokens have; nll [M].
 */
export function likeliest(
  projection: Projection,
  targetIds: Value,
  { k, temperature }: { readonly k: number; readonly temperature: number },
): SparseRows & { readonly nll: Value } {
  const V = dim(projection.weight.shape, 0);
  const parts = chunks(projection, LOSS_CHUNK_BYTES).map(({ start, end, logits }) => {
    const m = end - start;
    const plain = logSoftmax(logits);
    const soft = temperature === 1 ? plain : logSoftmax(scale(logits, 1 / temperature));
    const ids = topK(soft, k);
    const logProbs = gather(reshape(soft, [m * V]), flatIds(ids, V));
    const nll = neg(takeLast(plain, slice(targetIds, { axis: 0, start, end })));
    return { ids, probabilities: exp(reshape(logProbs, [m, k])), nll };
  });
  const joined = (name: 'ids' | 'probabilities' | 'nll') =>
    concat(
      parts.map((part) => part[name]),
      0,
    );
  return { ids: joined('ids'), probabilities: joined('probabilities'), nll: joined('nll') };
}
