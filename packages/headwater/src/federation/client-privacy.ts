/** What a plan says about the privacy of clients, and what a round tells of it. Data; the mechanism is in `noisy-release.ts`. */

import type { ClipRule } from '../privacy/adaptive-clip.ts';
import type { NoiseTree } from './noise-tree.ts';

/** What a plan says; absent: nothing is clipped, no noise is added. */
export interface ClientPrivacy {
  /** Who adds the noise, where it is not the coordinator: each client all of it, or a part. */
  readonly trust?: 'local' | 'distributed';
  /** C, or the first of it. */
  readonly clipNorm: number;
  /** z: standard deviation of the noise over the sensitivity of the sum; 0: none. What is accounted for. */
  readonly noiseMultiplier: number;
  /** Releases (with a tree: trees) that one owner may take part in; whoever has is not asked any more. */
  readonly maxParticipations: number;
  /** How many owners there are, where a plan relies on it: no more may join. Absent: as many as come. */
  readonly population?: number;
  /** δ of what is claimed; absent: nothing is. */
  readonly delta?: number;
  /** DP-FTRL: noise in a tree over the releases; absent: each release has its own. */
  readonly tree?: NoiseTree;
  /** Cohorts are drawn by secret coin flips; `maxParticipations` are then releases of the run. Absent: accounted without sampling. */
  readonly poisson?: PoissonCohort;
  /** C follows a quantile of the norms; absent: it stays. */
  readonly adaptive?: AdaptiveClip;
}

/** Each owner is in a round’s cohort with the same probability, on its own. */
interface PoissonCohort {
  /** q: the expected cohort over the population. */
  readonly rate: number;
}

export interface AdaptiveClip extends ClipRule {
  /** σ_b: standard deviation of the noise on the count of unclipped updates. */
  readonly countNoise: number;
}

/** Recorded with the round: a row of the run's privacy ledger, in the same entry of the journal as what was released. */
export interface ReleaseReport {
  readonly noise: 'simulated' | 'secret';
  /** C of this round. */
  readonly clipNorm: number;
  readonly noiseMultiplier: number;
  readonly denominator: number;
  /** s, of the sum. */
  readonly sensitivity: number;
  /**
   * Of a coordinate of the mean: z · s / m̄, with adaptive clipping a little more, with distributed noise at least, with local noise √n
   * times it; with a tree √n times it for n nodes that come or go.
   */
  readonly noiseStd: number;
  /** Of a tree: the release’s leaf, and the nodes whose noise the sum of all its leaves so far carries (√nodes · z · s / m̄). */
  readonly tree?: { readonly leaf: number; readonly nodes: number };
  /** C of the next round, where it adapts. */
  readonly nextClipNorm?: number;
  /** Secrets of the owners: told where everything is simulated. */
  readonly observed?: {
    /** ‖Σ_i clip_C(Δ_i)‖₂ / m̄ */
    readonly signalNorm: number;
    /** ‖noise‖₂ / m̄ */
    readonly noiseNorm: number;
    /** Updates that came longer than C: their senders had not clipped them, or a compression changed them. */
    readonly clippedByServer: number;
  };
}

/** The sentence that results, report and adapter of a simulated run carry. `cohortSize`: where it is known. What it would cost with secret noise is for who knows the accountants. */
export function simulatedStatement(
  { trust, clipNorm, noiseMultiplier, adaptive, tree, poisson }: ClientPrivacy,
  cohortSize?: number,
): string {
  if (trust !== undefined) return simulatedOwnNoise(trust, clipNorm, noiseMultiplier);
  const over = cohortSize === undefined ? 'the expected number of updates' : `${cohortSize} expected updates`;
  const norm = adaptive === undefined ? `norm ${clipNorm}` : `a norm C that adapts, at first ${clipNorm}`;
  const scale = adaptive === undefined ? clipNorm : 'C';
  const where =
    tree === undefined
      ? 'the sum'
      : `every node of a binary tree over ${tree.leaves} rounds of sums (DP-FTRL)`;
  return (
    `SIMULATED differential privacy, no ε is claimed: updates were clipped to ${norm} and noise of standard deviation ` +
    `${noiseMultiplier} · ${scale} was added to ${where} over ${over}, but it follows from the run's seed, so whoever knows ` +
    `the recipe can take it away again${poisson === undefined ? '' : ', and knows who was drawn'}.`
  );
}

function simulatedOwnNoise(
  trust: 'local' | 'distributed',
  clipNorm: number,
  noiseMultiplier: number,
): string {
  const where =
    trust === 'local'
      ? 'every client added noise of standard deviation'
      : 'the clients of a round together added noise of at least the standard deviation';
  return (
    `SIMULATED differential privacy, no ε is claimed: updates were clipped to norm ${clipNorm} and ${where} ${noiseMultiplier} · ` +
    `${clipNorm} before anything left them, but it follows from the run's seed, so whoever knows the recipe can take it away again.`
  );
}
