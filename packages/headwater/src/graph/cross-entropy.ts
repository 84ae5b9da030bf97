/**
 * Cross-entropy over a large vocabulary without keeping logits: target rows are processed in chunks, and the gradient
 * comes from the same chunk's log-probabilities, so at most a chunk of [m, V] lives at a time.
 * M targets, D hidden, V vocabulary.
 */

import { assert } from '../base/errors.ts';
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
  scatterAddRows,
  slice,
  sub,
  takeLast,
  withGradients,
} from './ops/index.ts';
import { dim } from './shapes.ts';

/** Bytes that one chunk of float32 logits may take, unless said otherwise. */
const CHUNK_BYTES = 128 * 1024 * 1024;

interface Chunk {
  readonly hidden: Value;
  readonly ids: Value;
  readonly logProbs: Value;
  readonly nll: Value;
  readonly start: number;
  readonly end: number;
}

function chunks(hidden: Value, vocabulary: Value, targetIds: Value, chunkBytes: number): Chunk[] {
  const numTargets = dim(hidden.shape, 0);
  assert(
    dim(targetIds.shape, 0) === numTargets,
    `${numTargets} hidden rows but targets [${targetIds.shape}]`,
  );
  const maxRows = Math.max(1, Math.floor(chunkBytes / (4 * dim(vocabulary.shape, 0))));
  const count = Math.ceil(numTargets / maxRows);
  const rows = Math.ceil(numTargets / count);
  return Array.from({ length: count }, (_, i) => {
    const [start, end] = [i * rows, Math.min(numTargets, (i + 1) * rows)];
    const part = slice(hidden, { axis: 0, start, end });
    const ids = slice(targetIds, { axis: 0, start, end });
    const logProbs = logSoftmax(matmul(part, vocabulary, { transB: true }));
    return { hidden: part, ids, logProbs, nll: neg(takeLast(logProbs, ids)), start, end };
  });
}

/**
 * Σ_i w_i · −log softmax(h_i Wᵀ)[y_i]: hidden [M, D], vocabulary W [V, D], targetIds y int32 [M], weights w [M] → scalar.
 * With p_i the softmax row: dh_i = w_i (p_i W − W[y_i]);  dW = Σ_i w_i p_iᵀ h_i − rows of w_i h_i added at y_i.
 */
export function crossEntropy(
  hidden: Value,
  vocabulary: Value,
  targetIds: Value,
  weights: Value,
  chunkBytes = CHUNK_BYTES,
): Value {
  const numTargets = dim(hidden.shape, 0);
  const column = reshape(weights, [numTargets, 1]);
  const parts = chunks(hidden, vocabulary, targetIds, chunkBytes);
  const weightOf = (c: Chunk) => slice(column, { axis: 0, start: c.start, end: c.end });
  const losses = parts.map((c) => mul(c.nll, slice(weights, { axis: 0, start: c.start, end: c.end })));
  const loss = reduceSum(concat(losses, 0), [0]);
  const dHidden = (): Value =>
    concat(
      parts.map((c) => mul(sub(matmul(exp(c.logProbs), vocabulary), gather(vocabulary, c.ids)), weightOf(c))),
      0,
    );
  const dVocabulary = (): Value => {
    const expected = parts.map((c) => matmul(exp(c.logProbs), mul(c.hidden, weightOf(c)), { transA: true }));
    const observed = scatterAddRows(mul(hidden, column), targetIds, dim(vocabulary.shape, 0));
    return sub(expected.reduce(add), observed);
  };
  return withGradients(loss, [hidden, vocabulary], (input) => (input === 0 ? dHidden() : dVocabulary()));
}

/** −log p of each target and the argmax of its row: hidden [M, D], vocabulary [V, D], targetIds int32 [M] → [M], int32 [M]. */
export function targetLogProbs(
  hidden: Value,
  vocabulary: Value,
  targetIds: Value,
): { nll: Value; argMax: Value } {
  const parts = chunks(hidden, vocabulary, targetIds, CHUNK_BYTES);
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
