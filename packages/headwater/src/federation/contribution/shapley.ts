/**
 * What each of n players adds to a game v(S): leave-one-out, exact Shapley values, and GTG-Shapley (Liu et al. 2022,
 * arXiv:2109.02053): guided permutations with two truncations. Pure; a coalition is a sorted list of players’ numbers, and how its
 * worth comes about is the caller’s affair.
 */

import { type Rng, shuffled } from '../../base/random.ts';
import { meanInterval } from '../../base/student-t.ts';

/**
 * v(S) row by row: the worth of a coalition is the mean over what it was scored on, and so is every share, which is linear in v. Of
 * the same length for all coalitions of a game.
 */
export type Worth = Float64Array<ArrayBuffer>;

export type Utility = (coalition: readonly number[]) => Promise<Worth>;

export interface Share {
  /** Row by row; the share is their mean. */
  readonly rows: Float64Array;
  /** Half the width of a 95 % interval over permutations; 0 of exact values; null of a single permutation. */
  readonly halfWidth: number | null;
}

export function meanOfRows(rows: Float64Array): number {
  let sum = 0;
  for (const value of rows) sum += value;
  return sum / Math.max(1, rows.length);
}

/** Asks for each coalition once, also while an answer is under way. */
export function remembering(utility: Utility): Utility & { readonly asked: () => number } {
  const known = new Map<string, Promise<Worth>>();
  const ask = (coalition: readonly number[]) => {
    const sorted = [...coalition].sort((a, b) => a - b);
    const key = sorted.join(' ');
    const found = known.get(key) ?? utility(sorted);
    known.set(key, found);
    return found;
  };
  return Object.assign(ask, { asked: () => known.size });
}

/** φ_k = v(N) − v(N ∖ k). */
export async function leaveOneOut(players: number, utility: Utility): Promise<Worth[]> {
  const all = Array.from({ length: players }, (_, i) => i);
  const [whole, ...without] = await Promise.all([
    utility(all),
    ...all.map((k) => utility(all.filter((i) => i !== k))),
  ]);
  return without.map((rest) => difference(whole!, rest));
}

/** φ_k = Σ_{S ∌ k} |S|! (n − |S| − 1)! / n! · (v(S ∪ k) − v(S)): 2ⁿ coalitions. */
export async function exactShapley(players: number, utility: Utility): Promise<Share[]> {
  const masks = Array.from({ length: 2 ** players }, (_, mask) => mask);
  const values = await Promise.all(masks.map((mask) => utility(membersOf(mask, players))));
  const weights = Array.from({ length: players }, (_, size) => 1 / (players * binomial(players - 1, size)));
  return Array.from({ length: players }, (_, k) => {
    const rows = new Float64Array(values[0]!.length);
    for (const mask of masks) {
      if (mask & (1 << k)) continue;
      const weight = weights[membersOf(mask, players).length]!;
      addTo(rows, values[mask | (1 << k)]!, weight);
      addTo(rows, values[mask]!, -weight);
    }
    return { rows, halfWidth: 0 };
  });
}

export interface GtgOptions {
  /** No share where |v(N) − v(∅)| is at most this. */
  readonly betweenRounds: number;
  /** No further marginals in a permutation once |v(N) − v(prefix)| is below this. */
  readonly withinRound: number;
  readonly fewestPermutations: number;
  readonly mostPermutations: number;
  readonly random: Rng;
  /** Permutations that are played side by side; changes how soon, not what. Default: 1. */
  readonly together?: number;
  /** Whether so many more coalitions may be asked for. The first permutation is played in any case. Default: any number. */
  readonly affords?: (coalitions: number) => boolean;
}

/** Over the last so many permutations the means must have changed by less than `SETTLED` of themselves. */
const LOOK_BACK = 10;
const SETTLED = 0.05;

export interface GtgShares {
  readonly shares: readonly Share[];
  readonly permutations: number;
  /** The game was too flat to be played. */
  readonly skipped: boolean;
}

/** Every player in turn takes the first place of a permutation, the others follow in random order. */
export async function gtgShapley(players: number, utility: Utility, options: GtgOptions): Promise<GtgShares> {
  const all = Array.from({ length: players }, (_, i) => i);
  const [whole, nothing] = (await Promise.all([utility(all), utility([])])) as [Worth, Worth];
  if (Math.abs(meanOfRows(whole) - meanOfRows(nothing)) <= options.betweenRounds) {
    const none = () => ({ rows: new Float64Array(whole.length), halfWidth: 0 });
    return { shares: all.map(none), permutations: 0, skipped: true };
  }
  const played = await permutationsPlayed(all, utility, { ...options, whole, nothing });
  // Only after whole turns has everybody been first as often as the others.
  const turns = Math.floor(played.length / players);
  const counted = turns === 0 ? played : played.slice(0, turns * players);
  const shares = all.map((k): Share => {
    const own = counted.map((row) => row[k]!);
    const rows = new Float64Array(whole.length);
    for (const marginal of own) addTo(rows, marginal, 1 / own.length);
    const values = own.map(meanOfRows);
    return {
      rows,
      halfWidth: turns === 0 ? meanInterval(values)!.halfWidth : halfWidthOfTurns(values, k, players),
    };
  });
  return { shares, permutations: counted.length, skipped: false };
}

/**
 * Of a mean over whole turns: a first place is worth v({k}) − v(∅) whenever it comes, so that chance is in the other places alone,
 * t · s √(m (n − 1) / n) / m with s their standard deviation.
 */
function halfWidthOfTurns(values: readonly number[], player: number, players: number): number | null {
  const later = values.filter((_, i) => i % players !== player);
  if (later.length === 0) return 0;
  const halfWidth = meanInterval(later)?.halfWidth;
  return halfWidth == null ? null : (halfWidth * later.length) / values.length;
}

type Game = GtgOptions & { readonly whole: Worth; readonly nothing: Worth };

/** Marginals by permutation and player. */
async function permutationsPlayed(all: readonly number[], utility: Utility, game: Game): Promise<Worth[][]> {
  const { together = 1, affords = () => true, mostPermutations, fewestPermutations, random } = game;
  const played: Worth[][] = [];
  const values: number[][] = [];
  const means: number[][] = [];
  while (played.length < mostPermutations) {
    const most = Math.min(together, mostPermutations - played.length);
    // Their first and last values are known to the caller.
    const size = affords(most * Math.max(0, all.length - 1)) ? most : 1;
    if (played.length > 0 && !affords(size * Math.max(0, all.length - 1))) break;
    const orders = Array.from({ length: size }, (_, i) =>
      guided(all, (played.length + i) % all.length, random),
    );
    for (const marginals of await Promise.all(orders.map((order) => marginalsOf(order, utility, game)))) {
      played.push(marginals);
      values.push(marginals.map(meanOfRows));
      means.push(all.map((k) => meanOf(values.map((row) => row[k]!))));
      if (played.length >= fewestPermutations && isSettled(means)) return played;
    }
  }
  return played;
}

function guided(all: readonly number[], first: number, random: Rng): number[] {
  return [
    first,
    ...shuffled(
      all.filter((i) => i !== first),
      random,
    ),
  ];
}

async function marginalsOf(
  order: readonly number[],
  utility: Utility,
  { whole, nothing, withinRound }: Game,
): Promise<Worth[]> {
  const marginals = order.map(() => new Float64Array(whole.length));
  const reached = meanOfRows(whole);
  let before = nothing;
  for (const [place, player] of order.entries()) {
    if (Math.abs(reached - meanOfRows(before)) < withinRound) break;
    // The worth of all is known.
    const now = place === order.length - 1 ? whole : await utility(order.slice(0, place + 1));
    marginals[player] = difference(now, before);
    before = now;
  }
  return marginals;
}

function isSettled(means: readonly (readonly number[])[]): boolean {
  const last = means.at(-1)!;
  const recent = means.slice(-LOOK_BACK - 1, -1);
  if (recent.length < LOOK_BACK) return false;
  const changes = recent.map((row) =>
    meanOf(row.map((value, k) => Math.abs(last[k]! - value) / (Math.abs(last[k]!) + 1e-12))),
  );
  return meanOf(changes) < SETTLED;
}

function membersOf(mask: number, players: number): number[] {
  return Array.from({ length: players }, (_, i) => i).filter((i) => mask & (1 << i));
}

function binomial(n: number, k: number): number {
  let value = 1;
  for (let i = 0; i < k; i++) value = (value * (n - i)) / (i + 1);
  return value;
}

function difference(a: Worth, b: Worth): Worth {
  return a.map((value, i) => value - b[i]!);
}

function addTo(sum: Float64Array, values: Worth, factor: number): void {
  for (let i = 0; i < sum.length; i++) sum[i]! += factor * values[i]!;
}

function meanOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length);
}
