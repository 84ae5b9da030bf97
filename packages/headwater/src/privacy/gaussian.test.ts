import { describe, expect, it } from 'vitest';
import { rng } from '../base/random.ts';
import { addRoundedGaussian, gaussianSource } from './gaussian.ts';

const COUNT = 400_000;
const normal = gaussianSource(rng(7, 'gaussian test').uint32);
const samples = Float64Array.from({ length: COUNT }, () => normal()).sort();

/** Φ(x), to 1e-7 (Abramowitz & Stegun 7.1.26). */
function cdf(x: number): number {
  const t = 1 / (1 + 0.3275911 * (Math.abs(x) / Math.SQRT2));
  const poly =
    t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
  const half = (1 - poly * Math.exp((-x * x) / 2)) / 2;
  return x < 0 ? 0.5 - half : 0.5 + half;
}

describe('Gaussian noise', () => {
  it('has mean 0 and variance 1', () => {
    const mean = samples.reduce((sum, x) => sum + x, 0) / COUNT;
    const variance = samples.reduce((sum, x) => sum + x * x, 0) / COUNT;
    expect(Math.abs(mean)).toBeLessThan(5 / Math.sqrt(COUNT));
    expect(Math.abs(variance - 1)).toBeLessThan(0.01);
  });

  it('has the normal distribution: Kolmogorov–Smirnov, p > 1e-4', () => {
    const distance = samples.reduce(
      (most, x, i) => Math.max(most, Math.abs(cdf(x) - i / COUNT), Math.abs(cdf(x) - (i + 1) / COUNT)),
      0,
    );
    expect(distance * Math.sqrt(COUNT)).toBeLessThan(2.2253);
  });

  it('has tails: P(|x| > 4) is 6.33e-5', () => {
    const share = samples.reduce((n, x) => n + (Math.abs(x) > 4 ? 1 : 0), 0) / COUNT;
    // Five standard deviations of a count of 25.
    expect(Math.abs(share - 6.334e-5)).toBeLessThan(5 * Math.sqrt(6.334e-5 / COUNT));
  });

  it('reaches further than 53 uniform bits would', () => {
    // All zero for three words: U < 2^-96.
    const words = [0, 0, 0, 1, 5, 5, 5, 5];
    let at = 0;
    const extreme = gaussianSource(() => words[at++ % words.length]!)();
    const radius = Math.sqrt(-2 * Math.log(2 ** -127));
    expect(Math.abs(extreme)).toBeGreaterThan(8.6);
    expect(Math.abs(extreme)).toBeLessThan(radius * 1.01);
  });

  it('is added to sums as integers', () => {
    const sums = Float64Array.from({ length: 1000 }, (_, i) => 1000 * i);
    const before = sums.slice();
    const squares = addRoundedGaussian(sums, 1500, gaussianSource(rng(1).uint32));
    expect(sums.every(Number.isInteger)).toBe(true);
    expect(squares).toBe(sums.reduce((sum, x, i) => sum + (x - before[i]!) ** 2, 0));
    expect(Math.sqrt(squares / 1000) / 1500).toBeCloseTo(1, 1);
  });
});
