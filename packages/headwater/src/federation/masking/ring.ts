/**
 * The scale of masked sums. Masks hide integers modulo 2³² only, so that the sum over a cohort must be one of a signed 32-bit
 * integer,
 *
 *   Σ_i w_i · |q_i| ≤ W · round(range · 2^f) ≤ 2³¹ − 1,
 *
 * which the plan guarantees before any client works: then the sum modulo 2³² is the sum itself, bit for bit.
 */

import { type FixedPointPlan, planFixedPoint } from '../fixed-point.ts';
import { reducedCounts, sumOfLargest } from '../weights.ts';

const RING_LIMIT = 2 ** 31 - 1;

/** Elements of an update rarely are larger, and each factor of two costs one bit of what is smaller. */
const DEFAULT_RANGE = 1;

/** Steps up to the range that are kept before weights are rounded. */
const LEAST_QUANTUM = 2 ** 16;
const MOST_FRACTION_BITS = 30;

export interface RingInput {
  /** What owners count by. */
  readonly counts: readonly number[];
  readonly cohortSize: number;
  /** Of a recipe; what is undefined is chosen here. */
  readonly fractionBits?: number | undefined;
  readonly range?: number | undefined;
}

/** As many fraction bits as the sum allows. Throws AGGREGATION_OVERFLOW. */
export function planRing(
  tensors: readonly { readonly name: string; readonly shape: readonly number[] }[],
  input: RingInput,
): FixedPointPlan {
  const range = input.range ?? DEFAULT_RANGE;
  const fractionBits = input.fractionBits ?? mostFractionBits(input, range);
  return planFixedPoint(tensors, { fractionBits, range }, RING_LIMIT);
}

/** Weights that differ get twice the room: owners may come later. */
function mostFractionBits({ counts, cohortSize }: RingInput, range: number): number {
  const reduced = reducedCounts(counts);
  const total = sumOfLargest(reduced, cohortSize);
  const room = reduced.every((count) => count === reduced[0]) ? cohortSize : 2 * total;
  const quantum = Math.max(LEAST_QUANTUM, RING_LIMIT / Math.max(1, room));
  return Math.min(MOST_FRACTION_BITS, Math.floor(Math.log2(quantum / range)));
}
