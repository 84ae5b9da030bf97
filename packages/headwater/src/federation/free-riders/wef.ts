/**
 * Weight evolving frequency (Chen et al. 2022, WEF-Defense): where an update moves more than it does on average, and how far an
 * owner’s pattern is from the others’. The paper’s clients report a count over their local iterations; here the server makes it
 * from the update that it has, one observation a round, so that nobody can report a pattern that is not its update’s.
 */

import { median } from '../../base/median.ts';

/** 1 where |Δ_j| > mean |Δ|, else 0; zeros of an update without a value. */
export function frequencyOf(update: ArrayLike<number>): Float64Array {
  const pattern = new Float64Array(update.length);
  let sum = 0;
  for (let i = 0; i < update.length; i++) sum += Math.abs(update[i]!);
  const mean = sum / Math.max(1, update.length);
  for (let i = 0; i < update.length; i++) pattern[i] = Math.abs(update[i]!) > mean ? 1 : 0;
  return pattern;
}

/**
 * Dev_i = Σ over x of |x_i − x̄| / Σ_j |x_j − x̄|, of three figures x: Dis_i = √Σ_j ‖F_i − F_j‖², Cos_i = mean cosine with the
 * others, Avg_i = mean of F_i. A figure in which all agree adds nothing.
 */
export function deviationsOf(patterns: readonly Float64Array[]): number[] {
  const count = patterns.length;
  const norms = patterns.map((pattern) => product(pattern, pattern));
  const distance = new Array<number>(count).fill(0);
  const cosine = new Array<number>(count).fill(0);
  for (let i = 0; i < count; i++)
    for (let j = i + 1; j < count; j++) {
      const inner = product(patterns[i]!, patterns[j]!);
      const apart = Math.max(0, norms[i]! + norms[j]! - 2 * inner);
      const near = inner / (Math.sqrt(norms[i]! * norms[j]!) || 1);
      for (const k of [i, j]) {
        distance[k]! += apart;
        cosine[k]! += near / Math.max(1, count - 1);
      }
    }
  const average = patterns.map((pattern) => pattern.reduce((sum, x) => sum + x, 0) / pattern.length);
  const parts = [distance.map(Math.sqrt), cosine, average].map(shareOfDeviation);
  return patterns.map((_, i) => parts.reduce((sum, part) => sum + part[i]!, 0));
}

function shareOfDeviation(values: readonly number[]): number[] {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const away = values.map((value) => Math.abs(value - mean));
  const total = away.reduce((sum, value) => sum + value, 0);
  // Below it rounding is all that differs.
  return total < 1e-12 * Math.max(1, Math.abs(mean)) ? values.map(() => 0) : away.map((x) => x / total);
}

/** (x − median) / (1.4826 MAD); by the mean deviation where more than half are the same; 0 where all are. */
export function robustScores(values: readonly number[]): number[] {
  const middle = median(values);
  const away = values.map((value) => Math.abs(value - middle));
  const mean = away.reduce((sum, value) => sum + value, 0) / Math.max(1, away.length);
  const scale = 1.4826 * median(away) || 1.2533 * mean;
  return values.map((value) => (scale > 0 ? (value - middle) / scale : 0));
}

/** Above it an accumulated deviation is an outlier. The paper leaves the threshold to the data. */
const OUTLIER = 3;

/** Plain WEF: whose frequencies over all rounds so far deviate. */
export function wefOutliers(deviations: readonly number[]): boolean[] {
  return robustScores(deviations).map((score) => score > OUTLIER);
}

export function product(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}
