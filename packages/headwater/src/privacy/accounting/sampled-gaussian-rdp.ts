/**
 * Rényi divergence of one Poisson-sampled Gaussian release, at any order. Knows one release, not how releases add up.
 *
 * With P = (1 − q) N(0, σ²) + q N(1, σ²), Q = N(0, σ²): ε_α = ln A_α / (α − 1), A_α = E_Q[(P/Q)^α] (Mironov, Talwar, Zhang 2019,
 * §3.3, who prove that this direction is the larger one). A_α − 1 is computed instead of A_α, as a sum or an integral of positive
 * terms: no cancellation, so the smallest rates keep all digits.
 */

import { log1pExp, logAdd, logExpm1, logSum } from './log-space.ts';

/** ε_α for many orders α > 1, σ = noise standard deviation / L2 sensitivity, q = sampling rate. */
export function sampledGaussianRdp(q: number, sigma: number, orders: readonly number[]): number[] {
  const precision = 1 / (2 * sigma * sigma);
  if (q === 0 || precision === 0) return orders.map(() => 0);
  if (precision === Number.POSITIVE_INFINITY) return orders.map(() => Number.POSITIVE_INFINITY);
  if (q === 1) return orders.map((order) => order * precision);
  const top = Math.max(2, ...orders.filter((order) => !Number.isInteger(order)));
  const grid = sigma < SMALLEST_SIGMA ? undefined : lossGrid(q, sigma, top);
  return orders.map((order) => {
    if (order === Number.POSITIVE_INFINITY) return order;
    if (Number.isInteger(order)) return log1pExp(integerExcess(q, sigma, order)) / (order - 1);
    if (grid !== undefined) return log1pExp(integralExcess(grid, order)) / (order - 1);
    return chord(order, (whole) => log1pExp(integerExcess(q, sigma, whole))) / (order - 1);
  });
}

/** Below, one release has an ε in the hundreds at every order: the bound by convexity is as good as the integral. */
const SMALLEST_SIGMA = 0.1;

/** ln A is convex in the order and 0 at order 1: between integers the straight line is an upper bound. */
export function chord(order: number, logMoment: (order: number) => number): number {
  const below = Math.floor(order);
  const share = order - below;
  const left = below <= 1 ? 0 : logMoment(below);
  return (1 - share) * left + share * logMoment(below + 1);
}

/** ln(A − 1) = ln Σ_{i≥2} C(α, i) qⁱ (1 − q)^{α−i} (exp((i² − i)/2σ²) − 1). */
function integerExcess(q: number, sigma: number, order: number): number {
  const logQ = Math.log(q);
  const logRest = Math.log1p(-q);
  let logBinomial = Math.log(order);
  const terms = new Float64Array(order - 1);
  for (let i = 2; i <= order; i++) {
    logBinomial += Math.log((order - i + 1) / i);
    const exponent = (i * i - i) / (2 * sigma * sigma);
    terms[i - 2] = logBinomial + i * logQ + (order - i) * logRest + logExpm1(exponent);
  }
  return logSum(terms);
}

interface LossGrid {
  /** ln Q(x) dx of each node of the trapezoidal rule. */
  readonly logWeights: Float64Array;
  /** ln(P/Q)(x). */
  readonly losses: Float64Array;
}

/** Standard deviations beyond the outermost peak after which the integrand is below e^{−72} of it. */
const REACH = 12;

/**
 * Step of a trapezoidal rule for functions of ln(P/Q) under Gaussians of width σ. They are analytic up to ±iπσ², where P/Q has its
 * zeros; moving the path by ia costs a factor exp(a²/2σ²) and gains exp(−2πa/step). Both ways the error is below e^{−38} of the
 * integral: a = 4πσ with step σ/2 where the strip is that wide, else a = πσ².
 */
export function trapezoidStep(sigma: number): number {
  if (sigma >= 4) return sigma / 2;
  const strip = Math.PI * Math.PI * sigma * sigma;
  return Math.min(sigma / 2, (2 * strip) / (38 + strip / 2));
}

/** ln(P/Q)(x) = ln(1 − q + q exp((2x − 1)/2σ²)). */
export function privacyLossAt(x: number, q: number, sigma: number): number {
  return logAdd(Math.log1p(-q), Math.log(q) + (x - 0.5) / sigma / sigma);
}

function lossGrid(q: number, sigma: number, top: number): LossGrid {
  const step = trapezoidStep(sigma);
  const first = -Math.ceil((REACH * sigma) / step);
  const count = Math.ceil((top + REACH * sigma) / step) - first + 1;
  const logScale = Math.log(step / sigma / Math.sqrt(2 * Math.PI));
  const logWeights = new Float64Array(count);
  const losses = new Float64Array(count);
  for (let k = 0; k < count; k++) {
    const x = (first + k) * step;
    logWeights[k] = logScale - (x / sigma) ** 2 / 2;
    losses[k] = privacyLossAt(x, q, sigma);
  }
  return { logWeights, losses };
}

/** ln(A − 1) = ln E_Q[(1 + w)^α − 1 − αw] with w = P/Q − 1, whose mean under Q is zero. */
function integralExcess({ logWeights, losses }: LossGrid, order: number): number {
  return logSum(logWeights.map((logWeight, k) => logWeight + logBernoulliGap(losses[k]!, order)));
}

/** ln((1 + w)^α − 1 − αw) ≥ −∞ for 1 + w = e^{loss}: Bernoulli's inequality, without cancellation for small w. */
function logBernoulliGap(loss: number, order: number): number {
  const power = order * loss;
  if (power > 30) return power + Math.log1p(-(1 + order * Math.expm1(loss)) * Math.exp(-power));
  const w = Math.expm1(loss);
  if (Math.abs(order * w) > 0.02) return Math.log(Math.expm1(power) - order * w);
  let term = (order * (order - 1) * w * w) / 2;
  let sum = term;
  for (let k = 3; k <= 9; k++) {
    term *= ((order - k + 1) / k) * w;
    sum += term;
  }
  return Math.log(sum);
}
