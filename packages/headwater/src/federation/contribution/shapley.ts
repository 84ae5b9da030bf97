/**
 * What each of n players adds to a game v(S): leave-one-out, exact Shapley values, and GTG-Shapley (Liu et al. 2022,
 * arXiv:2109.02053): guided permutations with two truncations. Pure; a coalition is a sorted list of players’ numbers, and how its
 * value comes about is the caller’s affair.
 */

import { type Rng, shuffled } from '../../base/random.ts';
import { meanInterval } from '../../base/student-t.ts';

export type Utility = (coalition: readonly number[]) => Promise<number>;

export interface Share {
  readonly value: number;
  /** Half the width of a 95 % interval over permutations; 0 of exact values; null of a single permutation. */
  readonly halfWidth: number | null;
}

/** Asks for each coalition once. */
export function remembering(utility: Utility): Utility & { readonly asked: () => number } {
  const known = new Map<string, Promise<number>>();
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
export async function leaveOneOut(players: number, utility: Utility): Promise<number[]> {
  const all = Array.from({ length: players }, (_, i) => i);
  const whole = await utility(all);
  const left: number[] = [];
  for (const k of all) left.push(whole - (await utility(all.filter((i) => i !== k))));
  return left;
}

/** φ_k = Σ_{S ∌ k} |S|! (n − |S| − 1)! / n! · (v(S ∪ k) − v(S)): 2ⁿ coalitions. */
export async function exactShapley(players: number, utility: Utility): Promise<number[]> {
  const values: number[] = [];
  for (let mask = 0; mask < 2 ** players; mask++) values.push(await utility(membersOf(mask, players)));
  const weights = Array.from({ length: players }, (_, size) => 1 / (players * binomial(players - 1, size)));
  return Array.from({ length: players }, (_, k) => {
    let sum = 0;
    for (let mask = 0; mask < 2 ** players; mask++) {
      if (mask & (1 << k)) continue;
      sum += weights[membersOf(mask, players).length]! * (values[mask | (1 << k)]! - values[mask]!);
    }
    return sum;
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
  const [whole, nothing] = [await utility(all), await utility([])];
  if (Math.abs(whole - nothing) <= options.betweenRounds)
    return { shares: all.map(() => ({ value: 0, halfWidth: 0 })), permutations: 0, skipped: true };
  const marginals: number[][] = [];
  const means: number[][] = [];
  while (marginals.length < options.mostPermutations) {
    const first = all[marginals.length % players]!;
    const rest = shuffled(
      all.filter((i) => i !== first),
      options.random,
    );
    marginals.push(await marginalsOf([first, ...rest], utility, { whole, nothing, ...options }));
    means.push(all.map((k) => meanOf(marginals.map((row) => row[k]!))));
    if (marginals.length >= options.fewestPermutations && isSettled(means)) break;
  }
  const shares = all.map((k): Share => {
    const { mean, halfWidth } = meanInterval(marginals.map((row) => row[k]!))!;
    return { value: mean, halfWidth };
  });
  return { shares, permutations: marginals.length, skipped: false };
}

async function marginalsOf(
  order: readonly number[],
  utility: Utility,
  { whole, nothing, withinRound }: { readonly whole: number; readonly nothing: number } & GtgOptions,
): Promise<number[]> {
  const marginals = new Array<number>(order.length).fill(0);
  let before = nothing;
  for (const [place, player] of order.entries()) {
    if (Math.abs(whole - before) < withinRound) break;
    // The value of all is known.
    const now = place === order.length - 1 ? whole : await utility(order.slice(0, place + 1));
    marginals[player] = now - before;
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

function meanOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length);
}
