/**
 * Integer aggregation weights from what owners hold. Counts are divided by their greatest common divisor; if the largest
 * possible cohort still exceeds the fixed-point budget they are scaled down and the rounding error is reported.
 */

import { HeadwaterError } from '../base/errors.ts';

export const WEIGHTINGS = ['examples', 'tokens', 'uniform'] as const;
export type Weighting = (typeof WEIGHTINGS)[number];

export interface WeightPlan {
  /** In the order of the given counts. */
  readonly weights: readonly number[];
  /** Largest |w_i / Σw − n_i / Σn| / (n_i / Σn) over single owners before normalisation; 0 when exact. */
  readonly maxRelativeError: number;
}

/** Largest rounding error that is not refused. */
const TOLERATED_ERROR = 0.01;

/**
 * @param counts     positive integers, one per owner (all 1 for uniform weighting)
 * @param cohortSize most owners in one sum
 * @throws AGGREGATION_OVERFLOW when the budget cannot tell the owners apart to 1 %
 */
export function planWeights(
  counts: readonly number[],
  cohortSize: number,
  maxTotalWeight: number,
): WeightPlan {
  const reduced = reducedCounts(counts);
  const largest = sumOfLargest(reduced, cohortSize);
  if (largest <= maxTotalWeight) return { weights: reduced, maxRelativeError: 0 };
  // Rounding down keeps Σw ≤ maxTotalWeight; BigInt keeps the products exact.
  const weights = reduced.map((n) => Number((BigInt(n) * BigInt(maxTotalWeight)) / BigInt(largest)));
  const ratio = maxTotalWeight / largest;
  const maxRelativeError = weights.reduce(
    (most, w, i) => Math.max(most, Math.abs(w / ((reduced[i] as number) * ratio) - 1)),
    0,
  );
  if (maxRelativeError <= TOLERATED_ERROR) return { weights, maxRelativeError };
  throw overflow(largest, cohortSize, maxTotalWeight, maxRelativeError);
}

/** Over their greatest common divisor. */
export function reducedCounts(counts: readonly number[]): number[] {
  const divisor = counts.reduce(gcd, 0);
  return counts.map((count) => count / divisor);
}

function overflow(largest: number, cohortSize: number, budget: number, error: number): HeadwaterError {
  const bits = Math.ceil(Math.log2(largest / budget));
  const percent = (100 * error).toPrecision(2);
  return new HeadwaterError(
    'AGGREGATION_OVERFLOW',
    `the weights of a cohort of ${cohortSize} add up to ${largest}, but exact sums hold only up to ${budget}; ` +
      `scaled down, a weight would be off by ${percent} %`,
    {
      hint:
        `Lower federation.fixedPoint.fractionBits by ${bits} (or federation.fixedPoint.range by a factor of ` +
        `${2 ** bits}), lower federation.cohortSize, or use federation.weighting: uniform.`,
    },
  );
}

/** The most that `count` of the values can add up to. */
export function sumOfLargest(values: readonly number[], count: number): number {
  // Typed arrays sort numbers without calling back: owners may be many thousands.
  const sorted = Float64Array.from(values).sort();
  return sorted.subarray(Math.max(0, sorted.length - count)).reduce((sum, value) => sum + value, 0);
}

function gcd(a: number, b: number): number {
  return b === 0 ? a : gcd(b, a % b);
}
