/**
 * Percentile bootstrap (Efron 1979): how far figures of a sample would move if other rows of the same kind had been drawn.
 * It knows positions of rows and a function from positions to figures, no tasks.
 */

import type { Rng } from './random.ts';

export interface BootstrapOptions {
  /** How often rows are drawn again; 0: no intervals. */
  readonly resamples: number;
  /** Share of the resamples' figures inside the interval: 0.95. */
  readonly level: number;
  readonly random: Rng;
}

export type Interval = readonly [low: number, high: number];

/**
 * For each figure the interval between the (1 − level) / 2 and (1 + level) / 2 quantiles over resamples of `count` rows with
 * replacement; all figures see the same resamples. A figure that is not finite in some resample has no interval.
 */
export function bootstrapIntervals(
  count: number,
  figures: (positions: Int32Array) => Readonly<Record<string, number>>,
  { resamples, level, random }: BootstrapOptions,
): Record<string, Interval> {
  if (resamples === 0 || count === 0) return {};
  const drawn = new Map<string, Float64Array>();
  const positions = new Int32Array(count);
  for (let i = 0; i < resamples; i++) {
    for (let k = 0; k < count; k++) positions[k] = random.below(count);
    for (const [id, value] of Object.entries(figures(positions))) {
      if (i === 0) drawn.set(id, new Float64Array(resamples).fill(Number.NaN));
      const values = drawn.get(id);
      if (values !== undefined) values[i] = value;
    }
  }
  const finite = [...drawn].filter(([, values]) => values.every(Number.isFinite));
  return Object.fromEntries(
    finite.map(([id, values]) => {
      const sorted = values.sort();
      return [id, [quantile(sorted, (1 - level) / 2), quantile(sorted, (1 + level) / 2)]];
    }),
  );
}

/** Linear between order statistics (type 7 of Hyndman and Fan 1996, numpy's default). `sorted` is ascending. */
export function quantile(sorted: ArrayLike<number>, p: number): number {
  const at = p * (sorted.length - 1);
  const low = Math.floor(at);
  const [a, b] = [sorted[low]!, sorted[Math.min(low + 1, sorted.length - 1)]!];
  return a + (at - low) * (b - a);
}
