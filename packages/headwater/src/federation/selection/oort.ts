/**
 * Oort: owners whose examples still teach much and who are fast enough, with exploration (Lai et al., OSDI 2021,
 * arXiv:2010.06081; constants as in the authors' selector). An owner k that trained last in round t_k scores
 *
 *   U_k = |B_k| √(mean loss²)     (U_k − min) / range + √(0.1 ln t / t_k)     · (T / time_k)^penalty where time_k > T
 *
 * A share ε of the cohort, ε = max(minExploration, exploration · decay^t), goes to owners that never trained, drawn by their
 * examples; the rest is drawn by score among those within `cutOff` of the last that would fit. The paper's √(mean loss²)
 * over examples is here the mean loss that the journal has. T is a percentile of the owners' times which the pacer moves.
 */

import { z } from 'zod';
import { type Past, pastOf } from './history.ts';
import type { Candidate, Selection, SelectionContext, Trained } from './selection.ts';
import { weightedSample } from './weighted-sample.ts';

const share = z.number().min(0).max(1);
const options = z.strictObject({
  exploration: share.default(0.9).describe('Share of the cohort for owners that never trained, at first.'),
  explorationDecay: share.default(0.95).describe('What the share is multiplied by in each round.'),
  minExploration: share.default(0.2).describe('The share does not fall below this.'),
  clipBound: share.default(0.98).describe('Utilities above this percentile count as this percentile.'),
  cutOff: share
    .default(0.7)
    .describe('Who scores less than this part of the last that would fit is left out.'),
  speedPenalty: z
    .number()
    .nonnegative()
    .default(0)
    .describe(
      'Exponent for owners slower than the preferred time (the authors: 2). Above 0 a run follows measured times: a replay of its journal repeats it, another run of the recipe need not. Times are measured by `headwater run` only.',
    ),
  preferredPercentile: z
    .number()
    .min(0)
    .max(100)
    .default(30)
    .describe('Percentile of the owners’ times that is the preferred time T at first; 100: any time.'),
  pacerRounds: z.int().positive().default(20).describe('The pacer looks after so many rounds.'),
  pacerStep: z.number().nonnegative().default(5).describe('By so many percent it moves the percentile.'),
  blacklistAfter: z
    .int()
    .positive()
    .optional()
    .describe('An owner that was counted more often is not asked any more. Default: never.'),
  blacklistShare: share.default(0.3).describe('At most this part of the owners is left out so.'),
});
type Options = z.infer<typeof options>;

export const oort: Selection<Options> = {
  id: 'oort',
  summary: 'owners with the largest remaining loss that are fast enough, and some that never trained',
  source: 'Lai et al., OSDI 2021, arXiv:2010.06081',
  options,
  choose(context, settings) {
    const { count, round, random } = context;
    const past = pastOf(context.history);
    const open = allowed(context, past, settings);
    const unexplored = open.filter(({ owner }) => !past.has(owner));
    const explored = scored(open, past, context, settings);
    const epsilon = Math.max(
      settings.minExploration,
      settings.exploration * power(settings.explorationDecay, round),
    );
    const numExplored = Math.min(
      unexplored.length,
      count - Math.min(explored.length, Math.floor(count * (1 - epsilon))),
    );
    const exploited = exploit(explored, count - numExplored, settings, context);
    const byExamples = ({ numExamples }: Candidate) => numExamples;
    return [...exploited, ...weightedSample(unexplored, numExplored, byExamples, random.split('explore'))];
  },
};

/** Without the blacklist, which leaves enough for the cohort. */
function allowed(
  { candidates, count }: SelectionContext,
  past: ReadonlyMap<string, Past>,
  { blacklistAfter = Number.POSITIVE_INFINITY, blacklistShare }: Options,
): readonly Candidate[] {
  const times = ({ owner }: Candidate) => past.get(owner)?.times ?? 0;
  const most = Math.min(Math.floor(blacklistShare * candidates.length), candidates.length - count);
  const tired = candidates
    .filter((candidate) => times(candidate) > blacklistAfter)
    .sort((a, b) => times(b) - times(a) || (a.owner < b.owner ? -1 : 1));
  const out = new Set(tired.slice(0, most));
  return candidates.filter((candidate) => !out.has(candidate));
}

interface Scored {
  readonly candidate: Candidate;
  readonly score: number;
}

function scored(
  open: readonly Candidate[],
  past: ReadonlyMap<string, Past>,
  { round, candidates, history }: SelectionContext,
  settings: Options,
): Scored[] {
  const known = open.filter(({ owner }) => past.has(owner));
  const utilities = known.map((candidate) => utilityOf(candidate, past.get(candidate.owner)!));
  const sorted = utilities.toSorted((a, b) => a - b);
  const clip = percentile(sorted, settings.clipBound);
  const least = sorted[0] ?? 0;
  const range = Math.max((sorted.at(-1) ?? 0) - least, 1e-4);
  const preferred = preferredMs(candidates, past, history, settings);
  return known.map((candidate, i) => {
    const { lastRound, last } = past.get(candidate.owner)!;
    const utility = (Math.min(utilities[i]!, clip) - least) / range;
    const fresh = utility + Math.sqrt((0.1 * Math.log(round)) / lastRound);
    const { tookMs = 0 } = last;
    const slow = tookMs > preferred ? (preferred / tookMs) ** settings.speedPenalty : 1;
    return { candidate, score: onGrid(fresh * slow) };
  });
}

function utilityOf({ numExamples }: Candidate, { last }: Past): number {
  return numExamples * Math.max(0, last.loss ?? 0);
}

/** Logarithms and powers may differ in the last bits from machine to machine; a replay must not. */
function onGrid(score: number): number {
  return Math.round(score * 2 ** 24) / 2 ** 24;
}

function exploit(
  explored: readonly Scored[],
  count: number,
  { cutOff }: Options,
  { random }: SelectionContext,
): Candidate[] {
  if (count === 0) return [];
  const best = explored.toSorted(
    (a, b) => b.score - a.score || (a.candidate.owner < b.candidate.owner ? -1 : 1),
  );
  const least = cutOff * best[Math.min(count, best.length - 1)]!.score;
  const pool = best.filter(({ score }) => score >= least);
  return weightedSample(pool, count, ({ score }) => score, random.split('exploit')).map(
    ({ candidate }) => candidate,
  );
}

/** T, in ms. */
function preferredMs(
  candidates: readonly Candidate[],
  past: ReadonlyMap<string, Past>,
  history: readonly Trained[],
  settings: Options,
): number {
  if (settings.speedPenalty === 0) return Number.POSITIVE_INFINITY;
  const times = candidates
    .map(({ owner }) => past.get(owner)?.last.tookMs)
    .filter((tookMs) => tookMs !== undefined)
    .sort((a, b) => a - b);
  const part = pacedPercentile(candidates, history, settings) / 100;
  return part >= 1 || times.length === 0 ? Number.POSITIVE_INFINITY : percentile(times, part);
}

/** Slower owners are let in while the cohorts’ utility stands still, kept out again while it jumps. */
function pacedPercentile(
  candidates: readonly Candidate[],
  history: readonly Trained[],
  { preferredPercentile, pacerRounds, pacerStep }: Options,
): number {
  const sizes = new Map(candidates.map(({ owner, numExamples }) => [owner, numExamples]));
  const utility = (trained: Trained) => {
    const each = Object.entries(trained).map(([owner, { loss }]) => (sizes.get(owner) ?? 0) * (loss ?? 0));
    return each.reduce((sum, one) => sum + one, 0) / Math.max(1, each.length);
  };
  const sumOf = (end: number) =>
    history.slice(end - pacerRounds, end).reduce((sum, trained) => sum + utility(trained), 0);
  let current = preferredPercentile;
  for (let end = 2 * pacerRounds; end <= history.length; end += pacerRounds) {
    const [before, after] = [sumOf(end - pacerRounds), sumOf(end)];
    const change = Math.abs(after - before);
    if (change <= 0.1 * before) current = Math.min(100, current + pacerStep);
    else if (change >= 5 * before) current = Math.max(pacerStep, current - pacerStep);
  }
  return current;
}

function percentile(sorted: readonly number[], part: number): number {
  return sorted[Math.min(Math.floor(sorted.length * part), sorted.length - 1)] ?? 0;
}

function power(base: number, exponent: number): number {
  let result = 1;
  for (let i = 0; i < exponent; i++) result *= base;
  return result;
}
