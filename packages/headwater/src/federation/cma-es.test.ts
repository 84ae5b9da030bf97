import { describe, expect, it } from 'vitest';
import { rng } from '../base/random.ts';
import { candidate, rankWeights, rootsLast, rootsOf, type SearchState, searchStep } from './cma-es.ts';

const D = 6;

function fresh(): SearchState {
  const covariance = new Float64Array(D * D);
  for (let i = 0; i < D; i++) covariance[i * D + i] = 1;
  const zeros = () => new Float64Array(D);
  return {
    mean: zeros(),
    covariance,
    pathSigma: zeros(),
    pathCovariance: zeros(),
    sigma: 0.5,
    generation: 0,
  };
}

function searched(loss: (x: Float64Array) => number, steps: number, seed: number): SearchState {
  const weights = rankWeights(6);
  const { normal } = rng('cma-es', seed);
  let state = fresh();
  let roots = rootsOf(state);
  for (let step = 0; step < steps; step++) {
    if (step % rootsLast(state, weights) === 0) roots = rootsOf(state);
    const points = Array.from({ length: 12 }, () => candidate(state, roots, normal));
    points.sort((a, b) => loss(a) - loss(b));
    state = searchStep(state, roots, points.slice(0, 6), weights);
  }
  return state;
}

const ellipsoid = (x: Float64Array) =>
  x.reduce((sum, value, i) => sum + 100 ** (i / (D - 1)) * (value - 1) ** 2, 0);

describe('CMA-ES', () => {
  it('weights fall and sum to 1', () => {
    const weights = rankWeights(5);
    expect(weights.reduce((a, b) => a + b)).toBeCloseTo(1, 12);
    expect([...weights].sort((a, b) => b - a)).toEqual(weights);
    expect(rankWeights(1)).toEqual([1]);
  });

  it('finds the least of an ill-conditioned quadratic and learns its shape', () => {
    const { mean, covariance } = searched(ellipsoid, 150, 1);
    expect(ellipsoid(mean)).toBeLessThan(1e-6);
    // Where the loss is a hundred times steeper the search is narrower.
    expect(covariance[0]! / covariance[D * D - 1]!).toBeGreaterThan(10);
  });

  it('looks at ranks alone', () => {
    expect(searched((x) => Math.expm1(ellipsoid(x) / 1e4), 20, 2)).toEqual(searched(ellipsoid, 20, 2));
  });

  it('same seeds, same path; other seeds, another', () => {
    expect(searched(ellipsoid, 10, 3)).toEqual(searched(ellipsoid, 10, 3));
    expect(searched(ellipsoid, 10, 3).mean).not.toEqual(searched(ellipsoid, 10, 4).mean);
  });

  it('roots multiply to C and to I', () => {
    const state = searched(ellipsoid, 10, 5);
    const { root, inverse } = rootsOf(state);
    for (const [i, value] of root.mmul(root).to1DArray().entries())
      expect(value).toBeCloseTo(state.covariance[i]!, 10);
    for (const [i, value] of root.mmul(inverse).to1DArray().entries())
      expect(value).toBeCloseTo(i % (D + 1) === 0 ? 1 : 0, 10);
  });
});
