/**
 * CMA-ES (Hansen 2016, arXiv:1604.00772): a search distribution N(m, σ² C) over R^d that moves by the ranks of what it drew.
 * Float64, weights of the best only. It knows no models and no clients.
 */

import { EigenvalueDecomposition, Matrix } from 'ml-matrix';

/** What of the distribution lives from round to round; C [d · d] row by row. */
export interface SearchState {
  readonly mean: Float64Array;
  readonly covariance: Float64Array;
  readonly pathSigma: Float64Array;
  readonly pathCovariance: Float64Array;
  readonly sigma: number;
  /** Steps taken so far. */
  readonly generation: number;
}

/** w_i ∝ ln(μ + ½) − ln i, Σ w = 1, for the best μ in falling order. */
export function rankWeights(count: number): number[] {
  const raw = Array.from({ length: count }, (_, i) => Math.log(count + 0.5) - Math.log(i + 1));
  const total = raw.reduce((sum, w) => sum + w, 0);
  return raw.map((w) => w / total);
}

/** C^(1/2) and C^(−1/2), symmetric, which do not depend on the signs of eigenvectors. */
export interface Roots {
  readonly root: Matrix;
  readonly inverse: Matrix;
}

export function rootsOf({ mean, covariance }: SearchState): Roots {
  const matrix = Matrix.from1DArray(mean.length, mean.length, covariance);
  const { eigenvectorMatrix: vectors, realEigenvalues } = new EigenvalueDecomposition(matrix, {
    assumeSymmetric: true,
  });
  const scales = realEigenvalues.map((value) => Math.sqrt(Math.max(value, SMALLEST)));
  const made = (of: (scale: number) => number) =>
    Matrix.mul(vectors, Matrix.rowVector(scales.map(of)).repeat({ rows: mean.length })).mmul(
      vectors.transpose(),
    );
  return { root: made((scale) => scale), inverse: made((scale) => 1 / scale) };
}

const SMALLEST = 1e-14;

/** m + σ C^(1/2) n, n standard normal. */
export function candidate({ mean, sigma }: SearchState, { root }: Roots, normal: () => number): Float64Array {
  const moved = product(root, Float64Array.from(mean, normal));
  return mean.map((value, i) => value + sigma * moved[i]!);
}

/** After how many steps the roots are out of date (Hansen 2016, B.2). */
export function rootsLast({ mean }: SearchState, weights: readonly number[]): number {
  const { c1, cmu } = ratesOf(mean.length, weights);
  return Math.max(1, Math.floor(1 / ((c1 + cmu) * mean.length * 10)));
}

/** One step: `best` are points in the order of their fitness, the best first, as many as there are weights. */
export function searchStep(
  state: SearchState,
  { inverse }: Roots,
  best: readonly Float64Array[],
  weights: readonly number[],
): SearchState {
  const { mean, sigma } = state;
  const d = mean.length;
  const rates = ratesOf(d, weights);
  const { cSigma, dSigma, cc, muEff } = rates;
  const steps = best.map((point) => point.map((value, i) => (value - mean[i]!) / sigma));
  const step = mean.map((_, i) => steps.reduce((sum, own, k) => sum + weights[k]! * own[i]!, 0));
  const whitened = product(inverse, step);
  const gain = Math.sqrt(cSigma * (2 - cSigma) * muEff);
  const pathSigma = state.pathSigma.map((value, i) => (1 - cSigma) * value + gain * whitened[i]!);
  const length = Math.hypot(...pathSigma);
  const expected = Math.sqrt(d) * (1 - 1 / (4 * d) + 1 / (21 * d * d));
  const settled = Math.sqrt(1 - (1 - cSigma) ** (2 * (state.generation + 1)));
  const stalls = length / settled >= (1.4 + 2 / (d + 1)) * expected;
  const push = stalls ? 0 : Math.sqrt(cc * (2 - cc) * muEff);
  const pathCovariance = state.pathCovariance.map((value, i) => (1 - cc) * value + push * step[i]!);
  return {
    mean: mean.map((value, i) => value + sigma * step[i]!),
    covariance: newCovariance(state.covariance, pathCovariance, steps, weights, { ...rates, stalls }),
    pathSigma,
    pathCovariance,
    sigma: sigma * Math.exp((cSigma / dSigma) * (length / expected - 1)),
    generation: state.generation + 1,
  };
}

interface Rates {
  readonly muEff: number;
  readonly cSigma: number;
  readonly dSigma: number;
  readonly cc: number;
  readonly c1: number;
  readonly cmu: number;
}

/** Hansen 2016, table 1. */
function ratesOf(d: number, weights: readonly number[]): Rates {
  const muEff = 1 / weights.reduce((sum, w) => sum + w * w, 0);
  const cSigma = (muEff + 2) / (d + muEff + 5);
  const c1 = 2 / ((d + 1.3) ** 2 + muEff);
  return {
    muEff,
    cSigma,
    dSigma: 1 + 2 * Math.max(0, Math.sqrt((muEff - 1) / (d + 1)) - 1) + cSigma,
    cc: (4 + muEff / d) / (d + 4 + (2 * muEff) / d),
    c1,
    cmu: Math.min(1 - c1, (2 * (muEff - 2 + 1 / muEff)) / ((d + 2) ** 2 + muEff)),
  };
}

function newCovariance(
  old: Float64Array,
  path: Float64Array,
  steps: readonly Float64Array[],
  weights: readonly number[],
  { cc, c1, cmu, stalls }: Rates & { readonly stalls: boolean },
): Float64Array {
  const d = path.length;
  const kept = 1 - c1 - cmu + (stalls ? c1 * cc * (2 - cc) : 0);
  const next = new Float64Array(old.length);
  for (let i = 0; i < d; i++)
    for (let j = 0; j <= i; j++) {
      let value = kept * old[i * d + j]! + c1 * path[i]! * path[j]!;
      for (const [k, own] of steps.entries()) value += cmu * weights[k]! * own[i]! * own[j]!;
      next[i * d + j] = value;
      next[j * d + i] = value;
    }
  return next;
}

function product(matrix: Matrix, vector: Float64Array): Float64Array {
  return Float64Array.from(matrix.mmul(Matrix.columnVector(vector)).to1DArray());
}
