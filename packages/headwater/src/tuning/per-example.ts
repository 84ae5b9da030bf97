/**
 * Gradients of single examples from one pass: each example multiplies with a copy of a trained matrix of its own, so that what flows
 * back into the copy is that example's gradient (Gᵀ X of Yousefpour et al. 2021, "Opacus", as one batched product). It knows no kind.
 */

import { assert } from '../base/errors.ts';
import type { Value } from '../graph/ir.ts';
import { expand, matmul, reshape } from '../graph/ops/index.ts';

/** Whose gradients are wanted by example, and of how many examples: rows of equal number, one example after the other. */
export interface PerExample {
  readonly examples: number;
  readonly of: ReadonlySet<string>;
}

/** θ [..] as copies [B, ..], one an example. */
export function copies(value: Value, { examples }: PerExample): Value {
  return expand(reshape(value, [1, ...value.shape]), [examples, ...value.shape]);
}

/** α · x Wᵀ: x [N, D], W [E, D] or copies [B, E, D] → [N, E]. */
export function timesTransposed(x: Value, weight: Value, alpha = 1): Value {
  if (weight.shape.length === 2) return matmul(x, weight, { transB: true, alpha });
  const [examples, outFeatures, inFeatures] = weight.shape as [number, number, number];
  const rows = x.shape[0]! / examples;
  assert(Number.isInteger(rows), `${x.shape[0]} rows of ${examples} examples`);
  const apart = reshape(x, [examples, rows, inFeatures]);
  return reshape(matmul(apart, weight, { transB: true, alpha }), [examples * rows, outFeatures]);
}
