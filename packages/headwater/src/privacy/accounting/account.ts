/**
 * (ε, δ) of a history of releases: every accountant that is valid for it, and the smallest of their upper bounds. A pure function of
 * the history, so that a ledger replayed gives the same figure. Knows no mechanism and no calibration.
 */

import { fixedSizeGaussianRdp } from './fixed-size-rdp.ts';
import { gaussianEpsilon } from './gaussian.ts';
import { type PrvEpsilon, prvEpsilon, type RepeatedSample } from './prv.ts';
import { epsilonOfRdp, ORDERS, type RdpEpsilon } from './rdp.ts';
import { sampledGaussianRdp } from './sampled-gaussian-rdp.ts';
import { checkDelta, checkSteps, type Neighbours, type PrivacySteps, sensitivity } from './steps.ts';

export const ACCOUNTANTS = ['rdp', 'prv', 'gaussian'] as const;
export type Accountant = (typeof ACCOUNTANTS)[number];

export interface PrivacyQuestion {
  /** May differ from one another; each may depend on what the earlier ones released. */
  readonly releases: readonly PrivacySteps[];
  readonly neighbours: Neighbours;
  readonly delta: number;
  /** Number of records where it is known: δ must not be larger than its inverse. */
  readonly population?: number;
  /** Whose bounds to compute where they are valid; all by default. Rényi divergence always is, and takes milliseconds. */
  readonly accountants?: readonly Accountant[];
}

export interface PrivacyGuarantee {
  /** The smallest upper bound; Infinity where nothing is guaranteed. */
  readonly epsilon: number;
  readonly delta: number;
  readonly neighbours: Neighbours;
  /** Whose bound it is. */
  readonly accountant: Accountant;
  readonly bounds: {
    readonly rdp: RdpEpsilon;
    /** Between which the exact ε lies; Poisson sampling only, absent where that takes too much or says too little. */
    readonly prv?: PrvEpsilon;
    /** The exact ε; without sampling only. */
    readonly gaussian?: number;
  };
}

/** Throws PRIVACY_INVALID for numbers out of range and for combinations without a proven bound. */
export function privacyGuarantee(question: PrivacyQuestion): PrivacyGuarantee {
  const { delta, neighbours, population, accountants = ACCOUNTANTS } = question;
  checkSteps(question.releases, neighbours);
  checkDelta(delta, population);
  const releases = question.releases.filter(({ steps, sampling }) => steps > 0 && samplingRate(sampling) > 0);
  const rdp = epsilonOfRdp(totalRdp(releases, neighbours), delta);
  const exact = accountants.includes('gaussian') ? exactEpsilon(releases, neighbours, delta) : undefined;
  const prv = accountants.includes('prv') ? numericalEpsilon(releases, neighbours, delta) : undefined;
  const bounds = { rdp, ...(prv && { prv }), ...(exact !== undefined && { gaussian: exact }) };
  const candidates: [Accountant, number][] = [['rdp', rdp.epsilon]];
  if (prv !== undefined) candidates.push(['prv', prv.upper]);
  if (exact !== undefined) candidates.push(['gaussian', exact]);
  const [accountant, epsilon] = candidates.reduce((best, next) => (next[1] < best[1] ? next : best));
  return { epsilon, delta, neighbours, accountant, bounds };
}

function samplingRate(sampling: PrivacySteps['sampling']): number {
  if (sampling.kind === 'none') return 1;
  return sampling.kind === 'poisson' ? sampling.rate : sampling.size / sampling.population;
}

/** Σ over releases of steps · ε_α, `[ORDERS]`. */
function totalRdp(releases: readonly PrivacySteps[], neighbours: Neighbours): number[] {
  const curves = releases.map(({ sampling, noiseMultiplier, steps }) => {
    const sigma = noiseMultiplier / sensitivity(neighbours);
    const rate = samplingRate(sampling);
    const curve = sampling.kind === 'fixed-size' ? fixedSizeGaussianRdp : sampledGaussianRdp;
    return curve(rate, sigma, ORDERS).map((rdp) => rdp * steps);
  });
  return ORDERS.map((_, i) => curves.reduce((sum, curve) => sum + curve[i]!, 0));
}

/** Where nothing was amplified by sampling, all releases together are one Gaussian release. */
function exactEpsilon(
  releases: readonly PrivacySteps[],
  neighbours: Neighbours,
  delta: number,
): number | undefined {
  if (releases.some(({ sampling }) => samplingRate(sampling) < 1)) return undefined;
  const perStep = releases.map(({ noiseMultiplier }) => sensitivity(neighbours) / noiseMultiplier);
  const mu = Math.sqrt(releases.reduce((sum, { steps }, i) => sum + steps * perStep[i]! ** 2, 0));
  return gaussianEpsilon(mu, delta);
}

function numericalEpsilon(
  releases: readonly PrivacySteps[],
  neighbours: Neighbours,
  delta: number,
): PrvEpsilon | undefined {
  if (neighbours !== 'add-remove' || releases.every(({ sampling }) => sampling.kind !== 'poisson'))
    return undefined;
  const samples = releases.map(
    ({ sampling, noiseMultiplier, steps }): RepeatedSample => ({
      rate: samplingRate(sampling),
      sigma: noiseMultiplier,
      steps,
    }),
  );
  return prvEpsilon(samples, delta);
}
