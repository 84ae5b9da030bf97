/**
 * What owners say of their work, beside what a server can know of it without their data: how long they took, what the others say,
 * what they said before. A function of facts of the journal; it reads no updates and bans nobody.
 */

import { median } from '../../base/median.ts';
import type { TrainingStats } from '../training-stats.ts';
import type { Sign } from './report.ts';

export interface Claim {
  readonly owner: string;
  readonly round: number;
  /** Digest of the params that its training began from. */
  readonly params: string;
  readonly stats: TrainingStats;
  /** Steps that were asked of it. */
  readonly steps: number;
  /** From handing out the work to its answer, or of the training where that is seen; null: nobody looked. */
  readonly tookMs: number | null;
}

/** Fewer owners have no majority to be compared with. */
const FEWEST = 4;
/** Times faster than the median owner, a token: devices differ, but seldom by so much within one round. */
const HASTY = 10;
/** Times the median loss, or the median loss that many times. */
const FAR = 10;

/** `claims`: of one round. `earlier`: of the rounds before it. */
export function signsOfClaims(
  claims: readonly Claim[],
  earlier: readonly Claim[],
): ReadonlyMap<string, readonly Sign[]> {
  // Where figures are withheld, and of simulated free-riders, there is nothing to look at.
  const told = claims.filter(({ stats }) => stats.numTokens > 0 || stats.meanLoss !== null);
  const hasty = hastyAmong(claims);
  const losses = told.flatMap(({ stats }) => stats.meanLoss ?? []);
  const usual = losses.length < FEWEST ? Number.NaN : median(losses);
  return new Map(
    claims.map((claim) => {
      const tells = told.includes(claim);
      const marks: [Sign, boolean][] = [
        ['impossible', tells && cannotBe(claim)],
        ['repeated-loss', tells && repeats(claim, earlier)],
        ['shared-loss', tells && sharesLoss(claim, told)],
        ['far-loss', tells && isFar(claim.stats.meanLoss, usual)],
        ['hasty', hasty.has(claim.owner)],
      ];
      return [claim.owner, marks.filter(([, shown]) => shown).map(([sign]) => sign)];
    }),
  );
}

/** What no training says: losses below 0 (they are means of −log p), work without anything worked on, a mean of one that is another. */
function cannotBe({
  stats: { steps, numExamples, numTokens, numTargets, meanLoss, lastLoss },
}: Claim): boolean {
  const worked = [steps, numExamples, numTokens].every((count) => count > 0);
  const one = steps === 1 && meanLoss !== null && lastLoss !== null && !isNear(meanLoss, lastLoss);
  return !worked || numTargets > numTokens || isBelow(meanLoss) || isBelow(lastLoss) || one;
}

/** But for rounding. */
function isNear(a: number, b: number): boolean {
  return Math.abs(a - b) <= 1e-4 * Math.max(Math.abs(a), Math.abs(b));
}

function isBelow(loss: number | null): boolean {
  return loss !== null && loss < 0;
}

/** The same loss to the last bit as in an earlier round of its own, which began from other params. */
function repeats({ owner, params, stats }: Claim, earlier: readonly Claim[]): boolean {
  return earlier.some(
    (other) => other.owner === owner && other.params !== params && isSame(other.stats, stats),
  );
}

/** As another owner’s in this round: then both may have the same data, or one of them the other’s word. */
function sharesLoss({ owner, stats }: Claim, told: readonly Claim[]): boolean {
  return told.some((other) => other.owner !== owner && isSame(other.stats, stats));
}

/** A loss that has come down to 0 may well do so again. */
function isSame(a: TrainingStats, b: TrainingStats): boolean {
  return a.meanLoss !== null && a.meanLoss > 1e-6 && a.meanLoss === b.meanLoss;
}

function isFar(loss: number | null, usual: number): boolean {
  return loss !== null && loss > 0 && usual > 0 && (loss > FAR * usual || usual > FAR * loss);
}

/** Who needed less than a tenth of the median time for a token that it says to have read; without a word of it, for one of the others’. */
function hastyAmong(claims: readonly Claim[]): ReadonlySet<string> {
  const perStep = claims.flatMap(({ stats, steps }) => (stats.numTokens > 0 ? stats.numTokens / steps : []));
  const usual = perStep.length === 0 ? 1 : median(perStep);
  const paces = claims.flatMap(({ owner, stats, steps, tookMs }) =>
    tookMs === null
      ? []
      : [{ owner, pace: tookMs / (stats.numTokens > 0 ? stats.numTokens : steps * usual) }],
  );
  if (paces.length < FEWEST) return new Set();
  const middle = median(paces.map(({ pace }) => pace));
  return new Set(paces.filter(({ pace }) => pace * HASTY < middle).map(({ owner }) => owner));
}
