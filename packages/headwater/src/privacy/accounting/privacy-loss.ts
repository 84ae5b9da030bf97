/**
 * The privacy loss of one Poisson-sampled Gaussian release as a random variable: distribution function and mean, for a record that
 * was removed and for one that was added. Knows no grid and no composition.
 *
 * P = (1 − q) N(0, σ²) + q N(1, σ²) with the record, Q = N(0, σ²) without. `removed`: ln(P/Q)(x), x ~ P. `added`: ln(Q/P)(x), x ~ Q.
 * Neither direction is proven to dominate the other under composition (Lebeda et al. 2024), so both are needed.
 */

import { erfc } from './erfc.ts';
import { privacyLossAt, trapezoidStep } from './sampled-gaussian-rdp.ts';

export type Direction = 'removed' | 'added';

export interface GaussianSample {
  /** Sampling rate q in (0, 1]. */
  readonly rate: number;
  /** Noise standard deviation / L2 sensitivity. */
  readonly sigma: number;
}

/** Both tails of the loss at t, each with small relative error: [Pr(loss ≤ t), Pr(loss > t)]. */
export function lossTails(sample: GaussianSample, direction: Direction, t: number): [number, number] {
  const { rate, sigma } = sample;
  if (direction === 'removed') {
    const x = noiseAt(t, rate, sigma);
    const [below0, above0] = normalTails(x / sigma);
    const [below1, above1] = normalTails((x - 1) / sigma);
    return [rate * below1 + (1 - rate) * below0, rate * above1 + (1 - rate) * above0];
  }
  // ln(Q/P) ≤ t exactly where ln(P/Q) ≥ −t.
  const [below, above] = normalTails(noiseAt(-t, rate, sigma) / sigma);
  return [above, below];
}

/** Mean of the loss, by the trapezoidal rule (relative error about 1e-14). */
export function meanLoss({ rate, sigma }: GaussianSample, direction: Direction): number {
  const step = trapezoidStep(sigma);
  const reach = Math.ceil((12 * sigma) / step);
  let [without, present] = [0, 0];
  for (let k = -reach; k <= reach; k++) {
    const weight =
      (Math.exp(-((k * step) ** 2) / (2 * sigma * sigma)) * step) / (sigma * Math.sqrt(2 * Math.PI));
    without += weight * privacyLossAt(k * step, rate, sigma);
    present += weight * privacyLossAt(1 + k * step, rate, sigma);
  }
  return direction === 'removed' ? rate * present + (1 - rate) * without : -without;
}

/** The x with ln(P/Q)(x) = t: σ² ln((eᵗ − 1 + q)/q) + 1/2; −∞ at and below ln(1 − q), which no x reaches. */
function noiseAt(t: number, rate: number, sigma: number): number {
  const logRatio = t > 1 ? t + Math.log1p((rate - 1) * Math.exp(-t)) : Math.log(Math.max(0, excess(t, rate)));
  return sigma * sigma * (logRatio - Math.log(rate)) + 0.5;
}

/** eᵗ − (1 − q) in the order of operations that costs an error in t of no more than a few last bits. */
function excess(t: number, rate: number): number {
  return rate < 0.5 ? Math.expm1(t) + rate : Math.exp(t) - (1 - rate);
}

function normalTails(z: number): [number, number] {
  const small = erfc(Math.abs(z) / Math.SQRT2) / 2;
  return z < 0 ? [small, 1 - small] : [1 - small, small];
}
