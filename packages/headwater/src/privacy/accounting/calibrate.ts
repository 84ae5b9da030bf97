/** How much noise a promised (ε, δ) takes: the accountants, searched backwards. Errs on the side of more noise only. */

import { HeadwaterError } from '../../base/errors.ts';
import { type PrivacyGuarantee, type PrivacyQuestion, privacyGuarantee } from './account.ts';
import type { PrivacySteps } from './steps.ts';

export interface CalibrationQuestion extends Omit<PrivacyQuestion, 'releases'> {
  readonly targetEpsilon: number;
  /** The releases, as many as will be made, without their noise: it is the same for all. */
  readonly releases: readonly Omit<PrivacySteps, 'noiseMultiplier'>[];
}

export interface Calibration {
  /** Gives at most the target; smaller by TOLERANCE (relative) it would give more. */
  readonly noiseMultiplier: number;
  readonly guarantee: PrivacyGuarantee;
}

export const TOLERANCE = 1e-3;
/** Of the search with Rényi divergence alone, which costs next to nothing. */
const FINE_TOLERANCE = 1e-6;

/** Throws PRIVACY_INVALID as `privacyGuarantee` does, and where no noise up to 10⁸ is enough. */
export function calibrateNoise(question: CalibrationQuestion): Calibration {
  const { targetEpsilon } = question;
  if (!(targetEpsilon > 0 && targetEpsilon < Number.POSITIVE_INFINITY))
    throw new HeadwaterError('PRIVACY_INVALID', `Epsilon is ${targetEpsilon}; it is a number above 0.`);
  const at = (noiseMultiplier: number, accountants = question.accountants): Calibration => {
    const releases = question.releases.map((part) => ({ ...part, noiseMultiplier }));
    const guarantee = privacyGuarantee({ ...question, releases, ...(accountants && { accountants }) });
    return { noiseMultiplier, guarantee };
  };
  const enough = at(enoughByRdp((noise) => at(noise, ['rdp']), targetEpsilon));
  const { prv, gaussian } = enough.guarantee.bounds;
  return prv === undefined && gaussian === undefined ? enough : least(at, enough, targetEpsilon);
}

const MOST_NOISE = 1e8;
const LEAST_NOISE = 1e-8;

/** Bisection of ln σ with the accountant that takes milliseconds: enough noise, if not the least. */
function enoughByRdp(at: (noise: number) => Calibration, target: number): number {
  const suffices = (noise: number) => at(noise).guarantee.epsilon <= target;
  if (!suffices(MOST_NOISE))
    throw new HeadwaterError(
      'PRIVACY_INVALID',
      `No noise multiplier up to ${MOST_NOISE} gives epsilon ${target}.`,
      {
        hint: 'Release less often, sample fewer records, or allow a larger epsilon or delta.',
      },
    );
  let [low, high] = [LEAST_NOISE, MOST_NOISE];
  while (high > low * (1 + FINE_TOLERANCE)) {
    const middle = Math.sqrt(low * high);
    if (suffices(middle)) high = middle;
    else low = middle;
  }
  return high;
}

/** From noise that is enough down to the least: a bracket that interpolation and bisection of ln ε over ln σ make narrower. */
function least(at: (noise: number) => Calibration, enough: Calibration, target: number): Calibration {
  let high = enough;
  let low = at(high.noiseMultiplier * 0.9);
  for (
    let factor = 0.8;
    low.guarantee.epsilon <= target && low.noiseMultiplier > LEAST_NOISE;
    factor *= factor
  ) {
    high = low;
    low = at(high.noiseMultiplier * factor);
  }
  for (let turn = 0; high.noiseMultiplier > low.noiseMultiplier * (1 + TOLERANCE); turn++) {
    const next = at(turn % 3 === 2 ? middleOf(low, high) : crossing(low, high, target, turn));
    if (next.guarantee.epsilon <= target) high = next;
    else low = next;
  }
  return high;
}

function middleOf(low: Calibration, high: Calibration): number {
  return Math.sqrt(low.noiseMultiplier * high.noiseMultiplier);
}

/** Where the straight line meets the target, a little past it on alternate sides, so that both ends of the bracket move. */
function crossing(low: Calibration, high: Calibration, target: number, turn: number): number {
  const [above, below] = [Math.log(low.guarantee.epsilon), Math.log(high.guarantee.epsilon)];
  const width = Math.log(high.noiseMultiplier / low.noiseMultiplier);
  const line = (above - Math.log(target)) / (above - below);
  if (!Number.isFinite(line)) return middleOf(low, high);
  const side = (turn % 3 === 0 ? 1 : -1) * 0.4 * TOLERANCE;
  const share = Math.min(0.95, Math.max(0.05, line + side / width));
  return low.noiseMultiplier * Math.exp(share * width);
}
