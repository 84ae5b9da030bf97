/**
 * Privacy random variables: ε between proven bounds from the distribution of the summed privacy loss (Gopi, Lee, Wutschitz 2021,
 * "Numerical composition of differential privacy"). For Poisson-sampled Gaussians and add-remove neighbours only.
 *
 * Beyond the paper: both directions (record added, record removed) are composed and the larger ε counts; the domain follows from
 * Chernoff's bound instead of an (ε, δ) curve; rounding in floating point is bounded and paid for out of δ.
 */

import { type ComposedLoss, composeLosses } from './compose-losses.ts';
import { type GridSize, lossPmf } from './loss-grid.ts';
import type { Direction, GaussianSample } from './privacy-loss.ts';
import { epsilonOfRdp, ORDERS } from './rdp.ts';
import { sampledGaussianRdp } from './sampled-gaussian-rdp.ts';

export interface PrvEpsilon {
  readonly lower: number;
  readonly upper: number;
}

export interface RepeatedSample extends GaussianSample {
  readonly steps: number;
}

const LARGEST_COUNT = 2 ** 20;
/** An ε beyond this protects nobody, and would take the largest grids to compute. */
const WORTH_NOTHING = 500;
/** Of the ε by Rényi divergence: an error beyond this is no gain over it. */
const USEFUL_ERROR = 0.1;

/**
 * Bounds of the exact ε(δ) of the composition; undefined where it is 0 or beyond all use, where δ is so small that
 * rounding counts, and where a grid fine enough to be of use would be too large.
 *
 * @param samples rates and noise above 0
 */
export function prvEpsilon(samples: readonly RepeatedSample[], delta: number): PrvEpsilon | undefined {
  const rdp = samples.map(({ rate, sigma }) => sampledGaussianRdp(rate, sigma, ORDERS));
  const total = ORDERS.map((_, i) => samples.reduce((sum, { steps }, s) => sum + steps * rdp[s]![i]!, 0));
  const rough = epsilonOfRdp(total, delta).epsilon;
  const numSteps = samples.reduce((sum, { steps }) => sum + steps, 0);
  const deltaError = delta / 1000;
  if (rough === 0 || rough > WORTH_NOTHING || cdfError(samples) > delta / 10) return undefined;
  for (
    let epsilonError = Math.min(0.01, rough / 50);
    epsilonError <= rough * USEFUL_ERROR;
    epsilonError *= 2
  ) {
    const budget = { delta, deltaError, epsilonError, numSteps };
    const grid = gridFor(domain(rdp, total, budget), budget);
    if (grid.count <= LARGEST_COUNT) return larger(samples, grid, budget);
  }
  return undefined;
}

interface Budget {
  readonly delta: number;
  readonly deltaError: number;
  readonly epsilonError: number;
  readonly numSteps: number;
}

/**
 * A half-width L with Pr(|Σ losses| > L − ε_err) ≤ δ_err/3 and Σ Pr(|loss| > L) ≤ δ_err/6, from
 * Pr(loss > t), Pr(loss < −t) ≤ exp((α − 1)(r_α − t)) in both directions.
 */
function domain(rdp: readonly (readonly number[])[], total: readonly number[], budget: Budget): number {
  const { deltaError, epsilonError, numSteps } = budget;
  const ofSum = tailBound(total, deltaError / 6) + epsilonError;
  return Math.max(ofSum, ...rdp.map((one) => tailBound(one, deltaError / (12 * numSteps))));
}

function tailBound(rdp: readonly number[], probability: number): number {
  return Math.min(...ORDERS.map((order, i) => rdp[i]! - Math.log(probability) / (order - 1)));
}

/** Step by Hoeffding's inequality: with probability 1 − δ_err/6 all roundings together are at most ε_err. */
function gridFor(halfWidth: number, { deltaError, epsilonError, numSteps }: Budget): GridSize {
  const step = epsilonError / Math.sqrt((numSteps / 2) * Math.log(12 / deltaError));
  const count = 2 ** Math.max(4, Math.ceil(Math.log2((2 * halfWidth) / step + 2)));
  return { step, count };
}

/** The larger of both directions, for the upper and for the lower bound. */
function larger(samples: readonly RepeatedSample[], grid: GridSize, budget: Budget): PrvEpsilon {
  const [removed, added] = (['removed', 'added'] as const).map((way) => bounds(samples, way, grid, budget));
  return {
    lower: Math.max(removed!.lower, added!.lower),
    upper: Math.max(removed!.upper, added!.upper),
  };
}

function bounds(
  samples: readonly RepeatedSample[],
  direction: Direction,
  grid: GridSize,
  { delta, deltaError, epsilonError, numSteps }: Budget,
): PrvEpsilon {
  const parts = samples.map(({ steps, ...sample }) => ({ pmf: lossPmf(sample, direction, grid), steps }));
  const composed = composeLosses(parts, grid);
  const lost = deltaError + composed.rounding + cdfError(samples);
  // What truncation and rounding do to the means (truncation: Pr(|loss| > L) · (2L + 1/(α − 1)) per step).
  const slack = deltaError * (grid.step * grid.count + 2) + numSteps * 1e-14;
  return {
    lower: Math.max(0, epsilonAt(composed, grid.step, delta + lost, -SUMMATION) - epsilonError - slack),
    upper: Math.max(0, epsilonAt(composed, grid.step, delta - lost, SUMMATION) + epsilonError + slack),
  };
}

/** The distribution functions are right to a few last bits, which each release adds once to the error of δ. */
function cdfError(samples: readonly RepeatedSample[]): number {
  return samples.reduce((sum, { steps, sigma }) => sum + steps * (2 + 1 / sigma) * 1e-15, 0);
}

/** Relative error of a sum of at most LARGEST_COUNT positive doubles. */
const SUMMATION = 1e-9;

/**
 * The ε with δ(ε) = Σ_{t > ε} p(t) (1 − e^{ε−t}) = δ, from the largest loss downward. With S = Σ p and D = Σ p e^{t_j − t} over t ≥ t_j,
 * δ(ε) = S − e^{ε − t_j} D between t_{j−1} and t_j.
 */
function epsilonAt(loss: ComposedLoss, step: number, delta: number, relativeError: number): number {
  if (delta <= 0) return Number.POSITIVE_INFINITY;
  const decay = Math.exp(-step);
  let [sum, discounted] = [0, 0];
  for (let j = loss.probabilities.length - 1; j >= 0; j--) {
    sum += loss.probabilities[j]!;
    discounted = discounted * decay + loss.probabilities[j]!;
    const safeSum = sum * (1 + relativeError);
    if (safeSum - discounted * decay <= delta) continue;
    return loss.first + j * step + Math.min(0, Math.log((safeSum - delta) / discounted));
  }
  return Number.NEGATIVE_INFINITY;
}
