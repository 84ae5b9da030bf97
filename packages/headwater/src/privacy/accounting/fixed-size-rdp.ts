/**
 * Rényi divergence of one Gaussian release on m of N records drawn without replacement, replace-one neighbours.
 * Wang, Balle, Kasiviswanathan 2019, Theorem 27 with its simple branch: valid, slightly loose. Knows one release.
 */

import { log1pExp, logExpm1, logSum } from './log-space.ts';
import { chord } from './sampled-gaussian-rdp.ts';

/**
 * ε_α ≤ ln(1 + Σ_{i=2..α} C(α, i) γⁱ s_i) / (α − 1), s_2 = min(4(e^{ε(2)} − 1), 2e^{ε(2)}), s_i = 2e^{(i−1)ε(i)}, γ = m/N,
 * ε(i) = i/2σ² with σ relative to the replace-one sensitivity. Between integer orders the chord of ln A.
 */
export function fixedSizeGaussianRdp(rate: number, sigma: number, orders: readonly number[]): number[] {
  if (rate === 0) return orders.map(() => 0);
  const unsampled = (order: number) => order / (2 * sigma * sigma);
  return orders.map((order) => {
    const sampled = chord(order, (whole) => logMoment(rate, unsampled, whole)) / (order - 1);
    // A sample tells at most what all records would: post-processing over the drawn set keeps the unsampled bound valid.
    return Math.min(sampled, unsampled(order));
  });
}

function logMoment(rate: number, unsampled: (order: number) => number, order: number): number {
  let logBinomial = Math.log(order);
  const terms = new Float64Array(order - 1);
  for (let i = 2; i <= order; i++) {
    logBinomial += Math.log((order - i + 1) / i);
    const moment = (i - 1) * unsampled(i);
    const simple = Math.LN2 + moment;
    const gap = i === 2 ? Math.min(2 * Math.LN2 + logExpm1(moment), simple) : simple;
    terms[i - 2] = logBinomial + i * Math.log(rate) + gap;
  }
  return log1pExp(logSum(terms));
}
