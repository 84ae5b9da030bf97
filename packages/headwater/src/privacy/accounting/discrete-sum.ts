/**
 * How far a sum of discrete Gaussian parts, one from each of n clients, is from one discrete Gaussian (Kairouz, Liu & Steinke 2021, "The
 * distributed discrete Gaussian mechanism for federated learning with secure aggregation", Theorem 1): it costs the Rényi divergence
 * α/2 (Δ₂ + √d τ)². Where √d τ is nothing beside Δ₂ that is the divergence of the Gaussian.
 */

/** τ = 10 Σ_{k=1}^{n−1} exp(−2π² σ² k/(k+1)), with σ one part's standard deviation in steps of the integer grid. */
export function discreteSumGap(parts: number, partSigma: number): number {
  let sum = 0;
  for (let k = 1; k < parts; k++) sum += Math.exp((-2 * Math.PI ** 2 * partSigma ** 2 * k) / (k + 1));
  return 10 * sum;
}
