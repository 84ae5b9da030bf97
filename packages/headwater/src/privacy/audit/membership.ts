/**
 * Whether scores tell members of the training data from others: area under the ROC curve, true positives at few false ones (Carlini
 * et al. 2022, "Membership Inference Attacks From First Principles"), and bootstrap intervals. Higher scores mean "member".
 */

import type { Rng } from '../../base/random.ts';

export interface Separation {
  /** P(score of a member > score of another) + ½ P(equal): 0.5 is guessing. */
  readonly auc: number;
  /** Share of members above the threshold that at most `falsePositiveRate` of the others reach. */
  readonly truePositives: number;
}

export interface SeparationInterval extends Separation {
  readonly aucInterval: readonly [number, number];
  readonly truePositivesInterval: readonly [number, number];
}

export const FALSE_POSITIVE_RATE = 0.01;

/** By ranks (Mann & Whitney), ties by half. */
export function areaUnderCurve(members: readonly number[], others: readonly number[]): number {
  const sorted = Float64Array.from(others).sort();
  const wins = members.reduce((sum, score) => {
    const below = lowerBound(sorted, score);
    return sum + below + (upperBound(sorted, score) - below) / 2;
  }, 0);
  return wins / (members.length * others.length);
}

/** Share of members whose score is above that of all but ⌊rate · n⌋ of the others. */
export function truePositivesAt(members: readonly number[], others: readonly number[], rate: number): number {
  const sorted = Float64Array.from(others).sort();
  const allowed = Math.floor(rate * others.length);
  const threshold = sorted[others.length - 1 - allowed]!;
  return members.filter((score) => score > threshold).length / members.length;
}

/** Percentile bootstrap over both groups. `random`: seeded. */
export function separation(
  members: readonly number[],
  others: readonly number[],
  {
    random,
    resamples = 1000,
    confidence = 0.95,
  }: { readonly random: Rng; readonly resamples?: number; readonly confidence?: number },
): SeparationInterval {
  const of = (a: readonly number[], b: readonly number[]): Separation => ({
    auc: areaUnderCurve(a, b),
    truePositives: truePositivesAt(a, b, FALSE_POSITIVE_RATE),
  });
  const again = Array.from({ length: resamples }, () =>
    of(resampled(members, random), resampled(others, random)),
  );
  return {
    ...of(members, others),
    aucInterval: percentiles(
      again.map(({ auc }) => auc),
      confidence,
    ),
    truePositivesInterval: percentiles(
      again.map(({ truePositives }) => truePositives),
      confidence,
    ),
  };
}

/** Mean of the lowest `share` of the token log-probabilities (Min-K%, Shi et al. 2024, arXiv:2310.16789). */
export function minKMean(logProbabilities: ArrayLike<number>, share: number): number {
  const sorted = Float64Array.from(logProbabilities).sort();
  const count = Math.max(1, Math.floor(share * sorted.length));
  return sorted.subarray(0, count).reduce((sum, value) => sum + value, 0) / count;
}

function resampled(values: readonly number[], random: Rng): number[] {
  return values.map(() => values[random.below(values.length)]!);
}

function percentiles(values: readonly number[], confidence: number): readonly [number, number] {
  const sorted = Float64Array.from(values).sort();
  const at = (share: number) =>
    sorted[Math.min(sorted.length - 1, Math.max(0, Math.round(share * (sorted.length - 1))))]!;
  return [at((1 - confidence) / 2), at((1 + confidence) / 2)];
}

/** How many are < value. */
function lowerBound(sorted: Float64Array, value: number): number {
  return search(sorted, (x) => x < value);
}

/** How many are ≤ value. */
function upperBound(sorted: Float64Array, value: number): number {
  return search(sorted, (x) => x <= value);
}

function search(sorted: Float64Array, isBefore: (x: number) => boolean): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (isBefore(sorted[middle]!)) low = middle + 1;
    else high = middle;
  }
  return low;
}
