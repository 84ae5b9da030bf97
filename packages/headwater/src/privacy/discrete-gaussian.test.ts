import { describe, expect, it } from 'vitest';
import { rng } from '../base/random.ts';
import { discreteSumGap } from './accounting/discrete-sum.ts';
import { discreteGaussian } from './discrete-gaussian.ts';
import { noiseShares, shareVariance } from './noise-share.ts';

describe('the discrete Gaussian', () => {
  it('has the probabilities of its definition: χ² for σ = 2', () => {
    const draw = discreteGaussian(4, rng(5, 'discrete').uint32);
    const count = 100_000;
    const seen = new Map<number, number>();
    for (let i = 0; i < count; i++) {
      const x = draw();
      seen.set(x, (seen.get(x) ?? 0) + 1);
    }
    const weight = (x: number) => Math.exp((-x * x) / 8);
    const total = Array.from({ length: 81 }, (_, i) => weight(i - 40)).reduce((a, b) => a + b, 0);
    const bins = Array.from({ length: 15 }, (_, i) => i - 7);
    const statistic = bins.reduce((sum, x) => {
      const expected = (count * weight(x)) / total;
      return sum + ((seen.get(x) ?? 0) - expected) ** 2 / expected;
    }, 0);
    // 15 bins of nearly all the mass: P(χ²₁₅ > 44) is 1e-4.
    expect(statistic).toBeLessThan(44);
    expect([...seen.keys()].every(Number.isInteger)).toBe(true);
  });

  it('has the variance that was asked for, far from 1 too', () => {
    const variance = 123_456_789;
    const draw = discreteGaussian(variance, rng(6, 'discrete').uint32);
    const values = Float64Array.from({ length: 40_000 }, draw);
    const [mean, square] = [values, values.map((x) => x * x)].map(
      (v) => v.reduce((a, b) => a + b, 0) / v.length,
    );
    expect(Math.abs(mean!)).toBeLessThan(5 * Math.sqrt(variance / values.length));
    expect(Math.abs(square! / variance - 1)).toBeLessThan(5 * Math.sqrt(2 / values.length));
  });
});

describe('noise in parts', () => {
  it.each([
    [10, 0.5, 2.345325292],
    [10, 1, 0.000543524],
    [100, 0.7, 0.191414342],
  ])('τ of %d parts with σ = %d is %d', (parts, sigma, expected) => {
    expect(Math.abs(discreteSumGap(parts, sigma) / expected - 1)).toBeLessThan(1e-4);
  });

  it('any so many parts together have the promised variance', () => {
    const share = { sigma: 30_000, leastShares: 7 };
    const parts = Array.from({ length: 7 }, (_, i) => noiseShares(20_000, share, rng(8, i).uint32));
    const sums = parts[0]!.map((_, i) => parts.reduce((sum, part) => sum + part[i]!, 0));
    const variance = sums.reduce((sum, x) => sum + x * x, 0) / sums.length;
    expect(Math.abs(variance / share.sigma ** 2 - 1)).toBeLessThan(5 * Math.sqrt(2 / sums.length));
    expect(shareVariance(share) * 7).toBeGreaterThanOrEqual(share.sigma ** 2);
  });
});
