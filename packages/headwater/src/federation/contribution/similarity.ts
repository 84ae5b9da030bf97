/**
 * How much an update points where its round went: cos(ΔW_k, ΔW̄) over whole adapters, of products B A where both factors of LoRA
 * travel, which scaling one factor against the other does not change. Cheap, without any data; a heuristic.
 */

import type { Params } from '../../base/tensor.ts';
import { weightedSum } from '../params.ts';
import { measured } from '../robust/measure.ts';

export interface SimilarityInput {
  readonly updates: readonly Params[];
  /** Over their sum. */
  readonly shares: readonly number[];
  /** Global params before the round. */
  readonly params: Params;
}

/** In [−1, 1]; null of an update of zeros, or where nothing moved in the mean. */
export function similarities({ updates, shares, params }: SimilarityInput): (number | null)[] {
  const mean = weightedSum(updates.map((update, i) => ({ params: update, factor: shares[i]! })));
  const { squares, size, zero } = measured({ updates, others: [mean], params, space: 'auto' });
  const last = size - 1;
  const squared = (i: number, j: number) => squares[i * size + j]!;
  return updates.map((_, i) => {
    const lengths = Math.sqrt(squared(i, zero) * squared(last, zero));
    return lengths > 0 ? (squared(i, zero) + squared(last, zero) - squared(i, last)) / 2 / lengths : null;
  });
}
