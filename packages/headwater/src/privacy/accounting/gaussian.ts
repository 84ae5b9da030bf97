/**
 * The Gaussian mechanism without sampling, exactly: μ = sensitivity / noise standard deviation says everything about it, and
 * releases compose to μ = √Σ μᵢ² (Dong, Roth, Su 2022). Knows no sampling.
 */

import { erfc, erfcx } from './erfc.ts';

/** δ(ε) = Φ(μ/2 − ε/μ) − e^ε Φ(−μ/2 − ε/μ) (Balle and Wang 2018, Theorem 8). */
export function gaussianDelta(mu: number, epsilon: number): number {
  if (mu === 0) return 0;
  if (mu === Number.POSITIVE_INFINITY) return 1;
  const near = (epsilon / mu - mu / 2) / Math.SQRT2;
  const far = (epsilon / mu + mu / 2) / Math.SQRT2;
  // far² − near² = ε, so both terms share the factor e^{−near²}: nothing overflows.
  const common = Math.exp(-near * near) / 2;
  const delta = near > 0 ? common * (erfcx(near) - erfcx(far)) : erfc(near) / 2 - common * erfcx(far);
  return Math.min(1, Math.max(0, delta));
}

/** The smallest ε with δ(ε) ≤ δ, from above. */
export function gaussianEpsilon(mu: number, delta: number): number {
  if (gaussianDelta(mu, 0) <= delta) return 0;
  // The Chernoff bound of the privacy loss, N(μ²/2, μ²).
  const most = (mu * mu) / 2 + mu * Math.sqrt(-2 * Math.log(delta));
  if (!Number.isFinite(most)) return Number.POSITIVE_INFINITY;
  return smallest((epsilon) => gaussianDelta(mu, epsilon) <= delta, 0, most);
}

/** The smallest noise standard deviation per unit of sensitivity that makes one release (ε, δ), from above. */
export function gaussianSigma(epsilon: number, delta: number): number {
  const enough = (logSigma: number) => gaussianDelta(Math.exp(-logSigma), epsilon) <= delta;
  return Math.exp(smallest(enough, -50, 50));
}

/** Bisection to the last bits for a property that holds from some point on; the answer has it whenever `high` has. */
function smallest(holds: (x: number) => boolean, low: number, high: number): number {
  let [below, above] = [low, high];
  for (let i = 0; i < 100 && below < above; i++) {
    const middle = below + (above - below) / 2;
    if (middle === below || middle === above) break;
    if (holds(middle)) above = middle;
    else below = middle;
  }
  return above;
}
