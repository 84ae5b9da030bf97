import { describe, expect, it } from 'vitest';
import { guaranteeFor, participationsWithin } from './privacy-ledger.ts';

describe('what an owner’s participations cost', () => {
  it('k releases with z are one with z / √k', () => {
    const [many, one] = [
      guaranteeFor({ noiseMultiplier: 2 }, 1e-5, 16),
      guaranteeFor({ noiseMultiplier: 0.5 }, 1e-5, 1),
    ];
    expect(many.epsilon).toBeCloseTo(one.epsilon, 9);
    // Balle & Wang 2018: σ = 3.7306316 gives ε = 1 at δ = 1e-5.
    expect(guaranteeFor({ noiseMultiplier: 3.7306316348 }, 1e-5, 1).epsilon).toBeCloseTo(1, 6);
  });

  it('a budget allows as many as stay within it, and not one more', () => {
    const budget = { delta: 1e-5, targetEpsilon: 3 };
    const count = participationsWithin({ noiseMultiplier: 5 }, budget, 1000);
    expect(guaranteeFor({ noiseMultiplier: 5 }, 1e-5, count).epsilon).toBeLessThanOrEqual(3);
    expect(guaranteeFor({ noiseMultiplier: 5 }, 1e-5, count + 1).epsilon).toBeGreaterThan(3);
    expect(participationsWithin({ noiseMultiplier: 5 }, budget, 4)).toBe(4);
    expect(participationsWithin({ noiseMultiplier: 0.1 }, budget, 1000)).toBe(0);
  });
});
