/**
 * A clip norm that follows a quantile of the norms it clips (Andrew, Thakkar, McMahan & Ramaswamy 2021, "Differentially private
 * learning with adaptive clipping"). Pure arithmetic; who counts and when is the caller's affair.
 */

export interface ClipRule {
  /** γ: the share of updates that shall be left as they are. */
  readonly targetQuantile: number;
  /** η_C. */
  readonly learningRate: number;
}

/** Further than this a clip norm does not run away from a mistake in a recipe. */
const [LEAST, MOST] = [1e-6, 1e6];

/**
 * C ← C · exp(−η_C (b̃ − γ)) with b̃ the noisy share of updates that were *not* clipped: too much clipping makes C grow. (With the
 * share of clipped ones in its place C runs away from every start.)
 */
export function nextClipNorm(clipNorm: number, unclippedShare: number, rule: ClipRule): number {
  const next = clipNorm * Math.exp(-rule.learningRate * (unclippedShare - rule.targetQuantile));
  return Math.min(MOST, Math.max(LEAST, next));
}

/**
 * b̃ = (Σ_i (b_i − ½) + noise) / m̄ + ½: the centred bits make the sensitivity of the count ½, and m̄ is fixed, so that who drops
 * out counts as half unclipped.
 */
export function noisyUnclippedShare(
  counts: { readonly unclipped: number; readonly clipped: number; readonly noise: number },
  denominator: number,
): number {
  const { unclipped, clipped, noise } = counts;
  return ((unclipped - clipped) / 2 + noise) / denominator + 0.5;
}

/**
 * z_Δ = (z⁻² − (2 σ_b)⁻²)^(−½): noise for the sum of vectors such that, together with a count whose noise has standard deviation
 * σ_b, a release costs what noise multiplier z costs. Needs z < 2 σ_b; NaN otherwise.
 */
export function vectorNoiseMultiplier(noiseMultiplier: number, countNoise: number): number {
  if (noiseMultiplier === 0) return 0;
  if (!(noiseMultiplier < 2 * countNoise)) return Number.NaN;
  return 1 / Math.sqrt(noiseMultiplier ** -2 - (2 * countNoise) ** -2);
}
