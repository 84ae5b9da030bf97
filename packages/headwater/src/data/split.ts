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

/**
 * Splits fractions off for validation and test, each owner on its own and seeded by its name, so that an owner who sees
 * nobody else's data gets the same split; stratified by label. An owner's n · fraction is rounded up with the probability of
 * its fractional part: among many small owners the totals stay right. Everybody keeps at least one example to train on.
 */
export function stratifiedSplit(
  examples: readonly { readonly meta: ExampleMeta }[],
  fractions: { readonly validation: number; readonly test: number },
  seed: number,
): Split {
  assert(
    fractions.validation >= 0 && fractions.test >= 0 && fractions.validation + fractions.test < 1,
    'the split leaves nothing to train on',
  );
  const own = [...byOwner(examples)].map(([owner, positions]) =>
    splitOfOwner(examples, positions, fractions, rng(seed, 'split', owner)),
  );
  const all = (part: keyof Split) => own.flatMap((split) => split[part]).sort((a, b) => a - b);
  return { train: all('train'), validation: all('validation'), test: all('test') };
}

function splitOfOwner(
  examples: readonly { readonly meta: ExampleMeta }[],
  positions: readonly number[],
  fractions: { readonly validation: number; readonly test: number },
  random: Rng,
): Split {
  const size = (fraction: number, name: string, most: number) =>
    Math.min(most, Math.floor(fraction * positions.length + random.split(name, 'size').uniform()));
  const numTest = size(fractions.test, 'test', positions.length - 1);
  const test = pick(examples, positions, numTest, random.split('test'));
  const rest = without(positions, test);
  const numValidation = size(fractions.validation, 'validation', rest.length - 1);
  const validation = pick(examples, rest, numValidation, random.split('validation'));
  return { train: without(rest, validation), validation, test };
}

function byOwner(examples: readonly { readonly meta: ExampleMeta }[]): Map<string, number[]> {
  const groups = new Map<string, number[]>();
  examples.forEach(({ meta }, index) => {
    const positions = groups.get(meta.owner ?? '');
    if (positions === undefined) groups.set(meta.owner ?? '', [index]);
    else positions.push(index);
  });
  return groups;
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
