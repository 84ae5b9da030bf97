/** What a plan says about the privacy of clients, and what a round tells of it. Data; the mechanism is in `noisy-release.ts`. */

/** What a plan says; absent: nothing is clipped, no noise is added. */
export interface ClientPrivacy {
  /** C. */
  readonly clipNorm: number;
  /** z: standard deviation of the noise over the sensitivity of the sum; 0: none. */
  readonly noiseMultiplier: number;
}

/** Recorded with the round. The two norms are secrets of the owners, told where everything is simulated. */
export interface ReleaseReport extends ClientPrivacy {
  readonly noise: 'simulated';
  readonly denominator: number;
  /** s, of the sum. */
  readonly sensitivity: number;
  /** z · s / m̄, of a coordinate of the mean. */
  readonly noiseStd: number;
  /** ‖Σ_i clip_C(Δ_i)‖₂ / m̄ */
  readonly signalNorm: number;
  /** ‖noise‖₂ / m̄ */
  readonly noiseNorm: number;
  /** Updates that came longer than C and were clipped by the server: their senders had not, or a compression changed them. */
  readonly clippedByServer: number;
}

/** The sentence that results, report and adapter of such a run carry. `cohortSize`: where it is known. */
export function simulatedStatement(
  { clipNorm, noiseMultiplier }: ClientPrivacy,
  cohortSize?: number,
): string {
  const over = cohortSize === undefined ? 'the expected number of updates' : `${cohortSize} expected updates`;
  return (
    `SIMULATED differential privacy, no ε is claimed: updates were clipped to norm ${clipNorm} and noise of standard deviation ` +
    `${noiseMultiplier} · ${clipNorm} was added to the sum over ${over}, but it follows from the run's seed, so whoever knows ` +
    `the recipe can take it away again.`
  );
}
