/** Stratified samples and splits: every owner and label keeps its share. Positions in, positions out; seeded. */

import { assert } from '../base/errors.ts';
import { type Rng, rng, shuffled } from '../base/random.ts';
import type { ExampleMeta } from './types.ts';

/**
 * `count` of the positions 0 … examples.length − 1, ascending, each (owner, label) stratum within one of its share:
 * systematic sampling over the strata in order, random inside a stratum.
 */
export function stratifiedSample(
  examples: readonly { readonly meta: ExampleMeta }[],
  count: number,
  random: Rng,
): number[] {
  const total = examples.length;
  if (count >= total) return [...examples.keys()];
  assert(count >= 0, `a sample of ${count}`);
  const ordered = strata(examples).flatMap((positions) => shuffled(positions, random));
  const offset = random.below(Math.max(total, 1));
  // Position i is taken when the running share (i·count + offset)/total passes a whole number.
  const chosen = ordered.filter(
    (_, i) => Math.floor(((i + 1) * count + offset) / total) > Math.floor((i * count + offset) / total),
  );
  assert(chosen.length === count, `sampled ${chosen.length} of ${count}`);
  return chosen.sort((a, b) => a - b);
}

export interface Split {
  readonly train: readonly number[];
  readonly validation: readonly number[];
  readonly test: readonly number[];
}

/** Splits fractions off for validation and test, stratified by owner and label; train keeps at least one example. */
export function stratifiedSplit(
  examples: readonly { readonly meta: ExampleMeta }[],
  fractions: { readonly validation: number; readonly test: number },
  seed: number,
): Split {
  const { validation, test } = fractions;
  assert(validation >= 0 && test >= 0 && validation + test < 1, 'the split leaves nothing to train on');
  const all = [...examples.keys()];
  const testSet = pick(examples, all, Math.round(test * all.length), rng(seed, 'split', 'test'));
  const rest = without(all, testSet);
  const held = pick(examples, rest, Math.round(validation * all.length), rng(seed, 'split', 'validation'));
  return { train: without(rest, held), validation: held, test: testSet };
}

function pick(
  examples: readonly { readonly meta: ExampleMeta }[],
  from: readonly number[],
  count: number,
  random: Rng,
): number[] {
  const subset = from.map((position) => examples[position] as { readonly meta: ExampleMeta });
  return stratifiedSample(subset, count, random).map((i) => from[i] as number);
}

function without(all: readonly number[], taken: readonly number[]): number[] {
  const gone = new Set(taken);
  return all.filter((position) => !gone.has(position));
}

/** Positions by (owner, label), strata in sorted order. */
function strata(examples: readonly { readonly meta: ExampleMeta }[]): number[][] {
  const groups = new Map<string, number[]>();
  examples.forEach(({ meta }, index) => {
    const key = JSON.stringify([meta.owner ?? '', meta.label ?? '']);
    const positions = groups.get(key);
    if (positions === undefined) groups.set(key, [index]);
    else positions.push(index);
  });
  return [...groups].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, positions]) => positions);
}
