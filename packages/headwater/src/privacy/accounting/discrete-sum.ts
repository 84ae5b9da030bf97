/**
 * What a sum of discrete Gaussian parts costs, one part from each of n clients (Kairouz, Liu & Steinke 2021, "The distributed discrete
 * Gaussian mechanism for federated learning with secure aggregation", Theorem 1; concentrated divergence, so a Rényi bound alone).
 * Lengths are in steps of the integer grid.
 */

export interface DiscreteSum {
  /** n, of whom at least so many are in every sum. */
  readonly parts: number;
  /** σ of one part. */
  readonly partSigma: number;
  /** d */
  readonly dimensions: number;
  /** ‖x‖₂ of what a client adds, after it was rounded to the grid. */
  readonly sensitivity: number;
}

/** τ = 10 Σ_{k=1}^{n−1} exp(−2π² σ² k/(k+1)): how far the sum of n parts is from one discrete Gaussian. */
export function discreteSumGap(parts: number, partSigma: number): number {
  let sum = 0;
  for (let k = 1; k < parts; k++) sum += Math.exp((-2 * Math.PI ** 2 * partSigma ** 2 * k) / (k + 1));
  return 10 * sum;
}

/**
 * z of the Gaussian release that costs as much: 1 / (Δ₂ / (√n σ) + √d τ), the third of the theorem's bounds, α/2 (Δ₂ + √d τ)². The
 * others are smaller only where τ is not negligible, which a run's grid does not let happen.
 */
export function discreteSumMultiplier({ parts, partSigma, dimensions, sensitivity }: DiscreteSum): number {
  const gap = discreteSumGap(parts, partSigma);
  return 1 / (sensitivity / (Math.sqrt(parts) * partSigma) + Math.sqrt(dimensions) * gap);
}

/** A vector of norm `clip` steps rounded to whole steps, each coordinate to the nearest: clip + ½ √d. */
export function roundedSensitivity(clip: number, dimensions: number): number {
  return clip + Math.sqrt(dimensions) / 2;
}
