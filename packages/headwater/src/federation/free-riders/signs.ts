/**
 * The signs of one round: exact checks, tensor lengths, WEF and S2-WEF over the updates that were counted. A function of the
 * updates, of what the round before changed, and of the frequencies so far; it knows no files and bans nobody.
 */

import { median } from '../../base/median.ts';
import type { OwnerSigns, Sign } from './report.ts';
import { s2Wef } from './s2-wef.ts';
import { deviationsOf, frequencyOf, robustScores, wefOutliers } from './wef.ts';

/** One update as the watch sees it. */
export interface WatchedUpdate {
  readonly owner: string;
  /** ‖update‖₂ */
  readonly norm: number;
  /** Elements of the last blocks’ adapter tensors. */
  readonly last: Float32Array;
  /** ‖·‖₂ of each tensor of the update, in their order. */
  readonly profile: readonly number[];
  /** Cosine with what the round before changed; null where that is unknown. */
  readonly echo: number | null;
}

/** Frequencies of an owner over the rounds in which it was counted. */
export interface Frequencies {
  readonly rounds: number;
  /** Sum of its patterns. */
  readonly counts: Float32Array;
}

export type WatchMemory = ReadonlyMap<string, Frequencies>;

export interface RoundSigns {
  readonly owners: Readonly<Record<string, OwnerSigns>>;
  readonly memory: WatchMemory;
}

const ECHO = 0.99;
const TWIN = 0.999;
const UNLIKE = 6;
/** Fewer owners have no majority to be compared with. */
const FEWEST = 4;

/** `moved`: what the round before changed in the elements of `last`. */
export function signsOfRound(
  updates: readonly WatchedUpdate[],
  moved: Float32Array | undefined,
  before: WatchMemory,
): RoundSigns {
  const patterns = updates.map(({ last }) => frequencyOf(last));
  const memory = remembered(updates, patterns, before);
  const compared = updates.length >= FEWEST;
  const s2 = compared ? s2Wef(patterns, moved) : undefined;
  const accumulated = compared ? deviationsOf(updates.map(({ owner }) => frequency(memory.get(owner)!))) : [];
  const deviant = wefOutliers(accumulated);
  const unlike = profileScores(updates);
  const twins = twinsAmong(updates);
  const strangers = strangersAmong(updates);
  const owners = updates.map(({ owner, norm, echo }, i): [string, OwnerSigns] => {
    const marks: [Sign, boolean][] = [
      ['zero', norm === 0],
      ['twin', twins.has(i)],
      ['echo', echo !== null && echo > ECHO],
      ['unrelated', strangers.has(i)],
      ['profile', unlike[i]! > UNLIKE],
      ['s2-wef', s2?.flagged[i] === true],
      ['wef', deviant[i] === true],
    ];
    const signs = marks.filter(([, shown]) => shown).map(([sign]) => sign);
    const figures = { similarity: s2?.similarity?.[i] ?? null, deviation: s2?.deviation[i] ?? null };
    return [owner, { signs, echo, ...figures, accumulated: accumulated[i] ?? null }];
  });
  return { owners: Object.fromEntries(owners), memory };
}

function remembered(
  updates: readonly WatchedUpdate[],
  patterns: readonly Float64Array[],
  before: WatchMemory,
): WatchMemory {
  const now = updates.map(({ owner }, i): [string, Frequencies] => {
    const known = before.get(owner);
    const old = known?.counts.length === patterns[i]!.length ? known : undefined;
    const counts = Float32Array.from(patterns[i]!, (x, j) => x + (old?.counts[j] ?? 0));
    return [owner, { rounds: (old?.rounds ?? 0) + 1, counts }];
  });
  return new Map([...before, ...now]);
}

function frequency({ rounds, counts }: Frequencies): Float64Array {
  return Float64Array.from(counts, (count) => count / rounds);
}

/** Distance of each owner’s shares of length by tensor, in logarithms, from the medians of the round; as a robust score. */
function profileScores(updates: readonly WatchedUpdate[]): number[] {
  const moving = updates.filter(({ norm }) => norm > 0);
  const numTensors = updates[0]?.profile.length ?? 0;
  if (moving.length < FEWEST || numTensors < 2) return updates.map(() => 0);
  if (moving.some(({ profile }) => profile.length !== numTensors)) return updates.map(() => 0);
  const share = ({ profile, norm }: WatchedUpdate, k: number) => Math.log(1e-6 + profile[k]! / (norm || 1));
  const middles = Array.from({ length: numTensors }, (_, k) =>
    median(moving.map((update) => share(update, k))),
  );
  const away = updates.map((update) => Math.hypot(...middles.map((middle, k) => share(update, k) - middle)));
  return robustScores(away);
}

/** Positions of updates that point where another one points, or are another one’s. */
function twinsAmong(updates: readonly WatchedUpdate[]): ReadonlySet<number> {
  const twins = new Set<number>();
  const lengths = updates.map(({ last }) => Math.sqrt(inner(last, last)));
  for (let i = 0; i < updates.length; i++)
    for (let j = i + 1; j < updates.length; j++) {
      const both = lengths[i]! * lengths[j]!;
      if (both > 0 && inner(updates[i]!.last, updates[j]!.last) > TWIN * both) twins.add(i).add(j);
    }
  // Where most point the same way that is what the data say.
  return twins.size > updates.length / 2 ? new Set() : twins;
}

/** Cosines by chance are N(0, 1/d): within so many standard deviations nothing is in common. */
const BY_CHANCE = 3;
/** So many, and the median owner has something in common with the others; half of its cosine is still that of an honest one. */
const IN_COMMON = 4;
/** Robust deviations below the others. */
const OUTLYING = 2;

/** Positions of updates whose cosine with the sum of all others is that of noise, where the median one’s is far from it. */
function strangersAmong(updates: readonly WatchedUpdate[]): ReadonlySet<number> {
  const size = updates[0]?.last.length ?? 0;
  if (updates.length < FEWEST || size === 0) return new Set();
  const lengths = updates.map(({ last }) => Math.sqrt(inner(last, last)));
  const sum = new Float32Array(size);
  // Of directions: one long update shall not be all that the others are compared with.
  for (const [k, { last }] of updates.entries())
    if (lengths[k]! > 0) for (let i = 0; i < size; i++) sum[i]! += last[i]! / lengths[k]!;
  const whole = inner(sum, sum);
  const common = updates.map(({ last }, k) => {
    if (lengths[k] === 0) return undefined;
    const along = inner(last, sum) / lengths[k]!;
    return (along - 1) / (Math.sqrt(Math.max(0, whole - 2 * along + 1)) || 1);
  });
  const scores = common.map((cosine) => cosine && cosine * Math.sqrt(size));
  const usual = median(scores.map((score) => score ?? 0));
  if (!(usual >= IN_COMMON)) return new Set();
  const limit = Math.min(BY_CHANCE, usual / 2);
  // Where owners differ much, one that has little in common is nothing unusual.
  const away = robustScores(scores.map((score) => score ?? 0));
  const isStranger = (score: number | undefined, i: number) =>
    score !== undefined && Math.abs(score) <= limit && away[i]! < -OUTLYING;
  return new Set(scores.flatMap((score, i) => (isStranger(score, i) ? [i] : [])));
}

function inner(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}
