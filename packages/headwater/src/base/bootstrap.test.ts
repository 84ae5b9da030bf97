import { describe, expect, it } from 'vitest';
import { bootstrapIntervals, quantile } from './bootstrap.ts';
import { rng } from './random.ts';

const values = Array.from({ length: 200 }, (_, i) => Math.sin(i));
const meanAt = (positions: Int32Array) =>
  positions.reduce((sum, position) => sum + values[position]!, 0) / positions.length;
const options = (seed: number, resamples = 500) => ({ resamples, level: 0.95, random: rng(seed) });

describe('bootstrap intervals', () => {
  it('quantiles are linear between order statistics, as numpy’s', () => {
    // numpy.quantile([1, 2, 4, 8], [0, .1, .5, .9, 1])
    const found = [0, 0.1, 0.5, 0.9, 1].map((p) => quantile([1, 2, 4, 8], p));
    for (const [i, expected] of [1, 1.3, 3, 6.8, 8].entries()) expect(found[i]).toBeCloseTo(expected, 12);
    expect(quantile([5], 0.3)).toBe(5);
  });

  it('are about as wide as the normal approximation, and seeded', () => {
    const { mean } = bootstrapIntervals(200, (positions) => ({ mean: meanAt(positions) }), options(1));
    const center = values.reduce((a, b) => a + b, 0) / 200;
    const deviation = Math.sqrt(values.reduce((sum, v) => sum + (v - center) ** 2, 0) / 200);
    const half = (1.96 * deviation) / Math.sqrt(200);
    expect(mean![0]).toBeLessThan(center);
    expect(mean![1]).toBeGreaterThan(center);
    expect((mean![1] - mean![0]) / (2 * half)).toBeGreaterThan(0.85);
    expect((mean![1] - mean![0]) / (2 * half)).toBeLessThan(1.15);
    const again = (seed: number) =>
      bootstrapIntervals(200, (positions) => ({ mean: meanAt(positions) }), options(seed)).mean;
    expect(again(1)).toEqual(mean);
    expect(again(2)).not.toEqual(mean);
  });

  it('all figures see the same resamples, and those that are not finite have none', () => {
    const found = bootstrapIntervals(
      200,
      (positions) => {
        const mean = meanAt(positions);
        return { mean, twice: 2 * mean, sometimes: mean > 0 ? mean : Number.NaN, never: Number.NaN };
      },
      options(3),
    );
    expect(Object.keys(found)).toEqual(['mean', 'twice']);
    expect(found.twice![0]).toBeCloseTo(2 * found.mean![0], 12);
  });

  it('there are none without rows or resamples, and a single row has no width', () => {
    expect(bootstrapIntervals(0, () => ({ a: 1 }), options(1))).toEqual({});
    expect(bootstrapIntervals(5, () => ({ a: 1 }), options(1, 0))).toEqual({});
    expect(bootstrapIntervals(1, (positions) => ({ a: positions.length }), options(1))).toEqual({
      a: [1, 1],
    });
  });
});
