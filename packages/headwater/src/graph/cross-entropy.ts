/**
 * Cross-entropy over a large vocabulary without keeping logits: target rows are processed in chunks, and the gradient
 * comes from the same chunk's log-probabilities, so at most a chunk of [m, V] lives at a time.
 * M targets, D hidden, V vocabulary.
 */

import { assert } from '../base/errors.ts';
import { availableAfter } from './available-after.ts';
import type { Value } from './ir.ts';
import {
  add,
  argMax,
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
  withGradients,
  withPullback,
} from './ops/index.ts';
import type { Projection } from './projection.ts';
import { dim } from './shapes.ts';
import { vocabularyLogits, vocabularyMix } from './vocabulary-product.ts';

/** Bytes that one chunk of float32 logits may take, unless said otherwise. */
export const LOSS_CHUNK_BYTES = 16 * 1024 * 1024;

interface Chunk {
  readonly rows: Value;
  readonly ids: Value;
  /** [m, V], capped. */
  readonly logits: Value;
  readonly logProbs: Value;
  readonly nll: Value;
  readonly start: number;
  readonly end: number;
}

function chunks(projection: Projection, targetIds: Value, chunkBytes: number): Chunk[] {
  const { rows: all, weight } = projection;
  const numTargets = dim(all.shape, 0);
  assert(
    dim(targetIds.shape, 0) === numTargets,
    `${numTargets} hidden rows but targets [${targetIds.shape}]`,
  );
  const maxRows = Math.max(1, Math.floor(chunkBytes / (4 * dim(weight.shape, 0))));
  const count = Math.ceil(numTargets / maxRows);
  const rows = Math.ceil(numTargets / count);
  return Array.from({ length: count }, (_, i) => {
    const [start, end] = [i * rows, Math.min(numTargets, (i + 1) * rows)];
    const part = slice(all, { axis: 0, start, end });
    const ids = slice(targetIds, { axis: 0, start, end });
    const logits = vocabularyLogits({ ...projection, rows: part });
    const logProbs = logSoftmax(logits);
    return { rows: part, ids, logits, logProbs, nll: neg(takeLast(logProbs, ids)), start, end };
  });
}

/**
 * Σ_i w_i · −log softmax(logits_i)[y_i]; targetIds y int32 [M], weights w [M] → scalar. With p_i the softmax row, e_y the
 * one-hot row and f = 1 − (logits / c)² the slope of the cap (1 without): u_i = w_i f_i (p_i − e_y) is the gradient of the
 * product; dh_i = u_i W, dW = Σ_i u_iᵀ h_i, db = Σ_i u_i. The one-hot parts are gathers and scatters, never rows of V.
 */
export function crossEntropy(
  projection: Projection,
  targetIds: Value,
  weights: Value,
  chunkBytes = LOSS_CHUNK_BYTES,
): Value {
  const parts = chunks(projection, targetIds, chunkBytes);
  const losses = parts.map((c) => mul(c.nll, slice(weights, { axis: 0, start: c.start, end: c.end })));
  const loss = reduceSum(concat(losses, 0), [0]);
  const slopes = parts.map((c) => slopeOf(c, projection, weights));
  return withGradients(loss, inputsOf(projection), (input) =>
    [gradientOfRows, gradientOfWeight, gradientOfBias][input]!({ projection, targetIds, parts, slopes }),
  );
}

/**
 * −log softmax(logits_i)[y_i] of each target, [M], for losses that join targets before they weigh them. Where the rows take
 * several chunks, their logits are computed again once the weights are known: the forward pass keeps none.
 */
export function targetLosses(projection: Projection, targetIds: Value, chunkBytes = LOSS_CHUNK_BYTES): Value {
  const parts = chunks(projection, targetIds, chunkBytes);
  const losses = concat(
    parts.map((c) => c.nll),
    0,
  );
  const backward = new Map<Value, Backward>();
  return withPullback(losses, inputsOf(projection), (input, weights) => {
    const known =
      backward.get(weights) ?? backwardFrom(weights, { projection, targetIds, parts }, chunkBytes);
    backward.set(weights, known);
    return [gradientOfRows, gradientOfWeight, gradientOfBias][input]!(known);
  });
}

function backwardFrom(weights: Value, forward: Omit<Backward, 'slopes'>, chunkBytes: number): Backward {
  const { projection, targetIds } = forward;
  const later = () => ({ ...projection, rows: availableAfter(projection.rows, [weights]) });
  const parts = forward.parts.length === 1 ? forward.parts : chunks(later(), targetIds, chunkBytes);
  return { projection, targetIds, parts, slopes: parts.map((c) => slopeOf(c, projection, weights)) };
}

function inputsOf({ rows, weight, bias }: Projection): Value[] {
  return bias === undefined ? [rows, weight] : [rows, weight, bias];
}

interface Backward {
  readonly projection: Projection;
  readonly targetIds: Value;
  readonly parts: readonly Chunk[];
  readonly slopes: readonly Slope[];
}

function gradientOfRows({ projection: { weight }, parts, slopes }: Backward): Value {
  return concat(
    parts.map((c, i) => {
      const { spread, atTarget, weight: w } = slopes[i]!;
      const target = gather(weight, c.ids);
      const one = atTarget === undefined ? target : mul(target, atTarget);
      return mul(sub(vocabularyMix(spread, weight), one), w);
    }),
    0,
  );
}

function gradientOfWeight({ projection: { weight }, targetIds, parts, slopes }: Backward): Value {
  const expected = parts.map((c, i) =>
    matmul(slopes[i]!.spread, mul(c.rows, slopes[i]!.weight), { transA: true }),
  );
  const observed = parts.map((c, i) => mul(c.rows, targetFactor(slopes[i]!)));
  return sub(expected.reduce(add), scatterAddRows(concat(observed, 0), targetIds, dim(weight.shape, 0)));
}

function gradientOfBias({ projection: { weight }, targetIds, slopes }: Backward): Value {
  const expected = slopes.map((slope) => reduceSum(mul(slope.spread, slope.weight), [0]));
  const observed = concat(slopes.map(targetFactor), 0);
  const V = dim(weight.shape, 0);
  return sub(expected.reduce(add), reshape(scatterAddRows(observed, targetIds, V), [V]));
}

interface Slope {
  /** f p, [m, V]. */
  readonly spread: Value;
  /** f at the target, [m, 1]; undefined: 1. */
  readonly atTarget: Value | undefined;
  /** w, [m, 1]. */
  readonly weight: Value;
}

function slopeOf(c: Chunk, { softCap }: Projection, weights: Value): Slope {
  const rows = c.end - c.start;
  // The loss takes from the log-probabilities what it needs before they make room for the next chunk.
  const own = slice(weights, { axis: 0, start: c.start, end: c.end });
  const weight = reshape(availableAfter(own, [c.nll]), [rows, 1]);
  const p = exp(c.logProbs);
  if (softCap === undefined) return { spread: p, atTarget: undefined, weight };
  const squared = mul(c.logits, c.logits);
  const slope = sub(c.logits.graph.scalar(1), scale(squared, 1 / softCap ** 2));
  return { spread: mul(p, slope), atTarget: reshape(takeLast(slope, c.ids), [rows, 1]), weight };
}

/** w f at the target, [m, 1]. */
function targetFactor({ weight, atTarget }: Slope): Value {
  return atTarget === undefined ? weight : mul(weight, atTarget);
}

/** −log p of each target and the argmax of its row: targetIds int32 [M] → [M], int32 [M]. */
export function targetLogProbs(projection: Projection, targetIds: Value): { nll: Value; argMax: Value } {
  const parts = chunks(projection, targetIds, LOSS_CHUNK_BYTES);
  return {
    nll: concat(
      parts.map((c) => c.nll),
      0,
    ),
    argMax: concat(
      parts.map((c) => argMax(c.logProbs)),
      0,
    ),
  };
}
