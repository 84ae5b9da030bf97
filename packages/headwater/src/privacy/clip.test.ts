import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { clipFactor, clippedToNorm, euclideanNorm } from './clip.ts';

const values = fc.array(fc.float({ noNaN: true, noDefaultInfinity: true, min: -1e4, max: 1e4 }), {
  minLength: 1,
  maxLength: 40,
});
const update = fc.array(
  values.map((list) => Float32Array.from(list)),
  { minLength: 1, maxLength: 4 },
);
const limits = fc.double({ min: 1e-3, max: 1e3, noNaN: true });

describe('clipping', () => {
  it('never leaves more than the limit, also after rounding to float32, and keeps the direction', () => {
    fc.assert(
      fc.property(update, limits, (arrays, limit) => {
        const { arrays: clipped, norm } = clippedToNorm(arrays, limit);
        expect(euclideanNorm(clipped)).toBeLessThanOrEqual(Math.max(limit, 0));
        if (norm <= limit) {
          expect(clipped).toBe(arrays);
          return;
        }
        expect(euclideanNorm(clipped)).toBeGreaterThan(limit * (1 - 2 ** -20));
        const ratio = limit / norm;
        for (const [t, before] of arrays.entries())
          for (const [i, x] of before.entries())
            expect(Math.abs(clipped[t]![i]! - ratio * x)).toBeLessThanOrEqual(
              Math.abs(ratio * x) * 2 ** -20 + 1e-40,
            );
      }),
    );
  });

  it('is flat: over all arrays together, not each for itself', () => {
    const { arrays, norm } = clippedToNorm([Float32Array.of(3, 0), Float32Array.of(0, 4)], 1);
    expect(norm).toBe(5);
    expect([...arrays[0]!, ...arrays[1]!].map((x) => +x.toFixed(6))).toEqual([0.6, 0, 0, 0.8]);
  });

  it('leaves the zero vector and the empty one as they are', () => {
    const zero = [new Float32Array(3)];
    expect(clippedToNorm(zero, 1).arrays).toBe(zero);
    expect(clippedToNorm([], 1).norm).toBe(0);
    expect(clipFactor(0, 1)).toBe(1);
  });

  it('measures where squares leave the range of float64', () => {
    const relative = (norm: number, expected: number) => Math.abs(norm / expected - 1);
    expect(relative(euclideanNorm([Float64Array.of(3e307, 4e307)]), 5e307)).toBeLessThan(1e-12);
    expect(relative(euclideanNorm([Float64Array.of(3e-300, 4e-300)]), 5e-300)).toBeLessThan(1e-12);
    expect(euclideanNorm([Float64Array.of(3e-320, 4e-320)])).toBeGreaterThan(4.9e-320);
  });

  it('gives back what cannot be clipped, for the check that refuses it', () => {
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY]) {
      const arrays = [Float32Array.of(1, bad)];
      expect(clippedToNorm(arrays, 1).arrays).toBe(arrays);
    }
  });
});
