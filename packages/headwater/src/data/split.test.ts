import fc from 'fast-check';
import { expect, test } from 'vitest';
import { rng } from '../base/random.ts';
import { partitionExamples } from './partition/registry.ts';
import { stratifiedSample, stratifiedSplit } from './split.ts';
import { summarizePartition } from './summary.ts';
import type { ExampleMeta } from './types.ts';

const groups = fc.array(fc.tuple(fc.nat(3), fc.nat(4)), { minLength: 1, maxLength: 200 });
const examplesOf = (items: [number, number][]): { meta: ExampleMeta }[] =>
  items.map(([owner, label], i) => ({ meta: { where: `x:${i}`, owner: `o${owner}`, label: `l${label}` } }));

function counts(examples: { meta: ExampleMeta }[], positions: readonly number[]): Map<string, number> {
  const result = new Map<string, number>();
  for (const position of positions) {
    const { owner, label } = (examples[position] as { meta: ExampleMeta }).meta;
    const key = `${owner}/${label}`;
    result.set(key, (result.get(key) ?? 0) + 1);
  }
  return result;
}

test('a stratified sample has exactly the size asked for, each stratum within one of its share', () => {
  const property = fc.property(
    groups,
    fc.double({ min: 0, max: 1, noNaN: true }),
    fc.nat(99),
    (items, share, seed) => {
      const examples = examplesOf(items);
      const count = Math.round(share * examples.length);
      const sample = stratifiedSample(examples, count, rng(seed, 'test'));
      expect(sample).toHaveLength(count);
      expect(new Set(sample).size).toBe(count);
      expect([...sample].sort((a, b) => a - b)).toEqual(sample);
      const held = counts(examples, sample);
      for (const [key, size] of counts(examples, [...examples.keys()])) {
        expect(Math.abs((held.get(key) ?? 0) - (size * count) / examples.length)).toBeLessThan(1 + 1e-9);
      }
      expect(stratifiedSample(examples, count, rng(seed, 'test'))).toEqual(sample);
    },
  );
  fc.assert(property, { seed: 8, numRuns: 300 });
});

test('inside a stratum the sample is random, and a sample of all or more is all', () => {
  const examples = examplesOf(Array.from({ length: 100 }, () => [0, 0]));
  const first = stratifiedSample(examples, 10, rng(1));
  expect(stratifiedSample(examples, 10, rng(2))).not.toEqual(first);
  expect(Math.max(...first)).toBeGreaterThan(10);
  expect(stratifiedSample(examples, 1000, rng(1))).toEqual([...examples.keys()]);
});

test('a split covers everything once; every owner keeps its shares and something to train on', () => {
  const property = fc.property(groups, fc.nat(99), (items, seed) => {
    const examples = examplesOf(items);
    const fractions = { validation: 0.1, test: 0.2 };
    const split = stratifiedSplit(examples, fractions, seed);
    const all = [...split.train, ...split.validation, ...split.test].sort((a, b) => a - b);
    expect(all).toEqual([...examples.keys()]);
    for (const [owner, positions] of owners(examples, [...examples.keys()])) {
      const held = (part: readonly number[]) => owners(examples, part).get(owner)?.length ?? 0;
      expect(Math.abs(held(split.test) - 0.2 * positions.length)).toBeLessThan(1);
      expect(Math.abs(held(split.validation) - 0.1 * positions.length)).toBeLessThan(1);
      expect(held(split.train)).toBeGreaterThan(0);
    }
    expect(stratifiedSplit(examples, fractions, seed)).toEqual(split);
  });
  fc.assert(property, { seed: 10, numRuns: 200 });
});

test('an owner who sees only its own examples splits them as all together would', () => {
  const property = fc.property(groups, fc.nat(99), (items, seed) => {
    const examples = examplesOf(items);
    const fractions = { validation: 0.15, test: 0.25 };
    const together = stratifiedSplit(examples, fractions, seed);
    for (const positions of owners(examples, [...examples.keys()]).values()) {
      const own = positions.map((position) => examples[position] as { meta: ExampleMeta });
      const alone = stratifiedSplit(own, fractions, seed);
      for (const part of ['train', 'validation', 'test'] as const)
        expect(alone[part].map((i) => positions[i])).toEqual(
          together[part].filter((position) => positions.includes(position)),
        );
    }
  });
  fc.assert(property, { seed: 11, numRuns: 100 });
});

test('among many small owners the totals are those of the fractions', () => {
  const examples = examplesOf(
    Array.from({ length: 3000 }, (_, i): [number, number] => [Math.floor(i / 3), 0]),
  );
  const { test: held } = stratifiedSplit(examples, { validation: 0, test: 0.2 }, 5);
  // 1,000 owners of 3 hold out 0.6 of an example each: 600 ± 4 standard deviations.
  expect(Math.abs(held.length - 600)).toBeLessThan(62);
});

function owners(examples: { meta: ExampleMeta }[], positions: readonly number[]): Map<string, number[]> {
  const held = new Map<string, number[]>();
  for (const position of positions) {
    const { owner } = (examples[position] as { meta: ExampleMeta }).meta;
    held.set(owner as string, [...(held.get(owner as string) ?? []), position]);
  }
  return held;
}

test('the summary counts examples, tokens, targets and labels of each owner and of all', () => {
  const examples = examplesOf([
    [0, 0],
    [0, 1],
    [1, 1],
    [0, 1],
  ]);
  const piece = (length: number, numTargets: number) => ({
    tokens: new Int32Array(length),
    supervised: new Uint8Array(length),
    numTargets,
  });
  // The last example became two sequences, the second was dropped.
  const tokens = { tokenized: [piece(10, 3), piece(20, 4), piece(5, 1), piece(6, 2)], source: [0, 2, 3, 3] };
  const partition = partitionExamples(examples, { kind: 'natural' }, 0);
  const { owners, total } = summarizePartition(examples, partition, tokens);
  expect(owners).toEqual([
    {
      owner: 'o0',
      numExamples: 3,
      numTokens: 21,
      numTargets: 6,
      numLabels: 2,
      labels: [
        { label: 'l1', numExamples: 2 },
        { label: 'l0', numExamples: 1 },
      ],
    },
    {
      owner: 'o1',
      numExamples: 1,
      numTokens: 20,
      numTargets: 4,
      numLabels: 1,
      labels: [{ label: 'l1', numExamples: 1 }],
    },
  ]);
  expect(total).toMatchObject({ numExamples: 4, numTokens: 41, numTargets: 10, numLabels: 2 });
  expect(summarizePartition(examples, partition).total).toMatchObject({ numTokens: 0, numExamples: 4 });
});
