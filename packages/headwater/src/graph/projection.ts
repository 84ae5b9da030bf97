/** The last step of a network: rows to logits. Losses take it whole, because logits of a large vocabulary are never kept. */

import type { Value } from './ir.ts';
import { add, matmul, scale, tanh } from './ops/index.ts';

/** logits = rows Wᵀ + b, then c · tanh(logits / c) with a cap c. */
export interface Projection {
  /** [M, D]. */
  readonly rows: Value;
  /** W [V, D]. */
  readonly weight: Value;
  /** b [V]. */
  readonly bias?: Value;
  /** c. */
  readonly softCap?: number;
}

/** [M, V]. */
export function logitsOf({ rows, weight, bias, softCap }: Projection): Value {
  const product = matmul(rows, weight, { transB: true });
  const logits = bias === undefined ? product : add(product, bias);
  return softCap === undefined ? logits : softCapped(logits, softCap);
}

/** c · tanh(x / c). */
export function softCapped(x: Value, cap: number): Value {
  return scale(tanh(scale(x, 1 / cap)), cap);
}
