import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { planWeights } from './weights.ts';

describe('aggregation weights', () => {
  it('counts within the budget stay exact, divided by their common divisor', () => {
    expect(planWeights([1200, 600, 1800], 3, 1000)).toEqual({ weights: [2, 1, 3], maxRelativeError: 0 });
    expect(planWeights([7, 7, 7, 7], 4, 4)).toEqual({ weights: [1, 1, 1, 1], maxRelativeError: 0 });
  });

  it('only the largest possible cohort has to fit', () => {
    expect(planWeights([5, 3, 2], 2, 8).maxRelativeError).toBe(0);
  });

  it('larger counts are scaled down, the error is reported and the budget kept', () => {
    const counts = fc.array(fc.integer({ min: 1_000_000, max: 9_000_000 }), { minLength: 2, maxLength: 30 });
    fc.assert(
      fc.property(counts, (n) => {
        const { weights, maxRelativeError } = planWeights(n, n.length, 2 ** 20);
        const total = weights.reduce((sum, w) => sum + w, 0);
        expect(total).toBeLessThanOrEqual(2 ** 20);
        const wanted = n.reduce((sum, x) => sum + x, 0);
        for (const [i, w] of weights.entries()) {
          const relative = Math.abs(((w / total) * wanted) / n[i]! - 1);
          expect(relative).toBeLessThanOrEqual(2.1 * maxRelativeError + 1e-12);
        }
      }),
    );
  });

  it('a budget that cannot tell owners apart is refused with what to change', () => {
    const refused = () => planWeights([1, 1_000_000], 2, 2 ** 10);
    expect(refused).toThrow(expect.objectContaining({ code: 'AGGREGATION_OVERFLOW' }));
    expect(refused).toThrow(/1000001.*1024/);
    expect(refused).toThrow(expect.objectContaining({ hint: expect.stringContaining('fractionBits by 10') }));
  });
});
