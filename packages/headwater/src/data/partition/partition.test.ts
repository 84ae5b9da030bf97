import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { rng } from '../../base/random.ts';
import type { ExampleMeta } from '../types.ts';
import { dirichlet as dirichletShares, sizesFrom } from './clients.ts';
import type { Partition } from './partitioner.ts';
import { partitionExamples, partitioners } from './registry.ts';

const SEED = 17;

function examplesOf(count: number, labels: number, owners = 3): { meta: ExampleMeta }[] {
  return Array.from({ length: count }, (_, i) => ({
    meta: { where: `x:${i}`, label: `label-${i % labels}`, owner: `owner-${(i * 7) % owners}` },
  }));
}

const choices = fc.oneof(
  fc.constant({ kind: 'natural' }),
  fc.record({ kind: fc.constant('iid'), clients: fc.integer({ min: 1, max: 9 }) }),
  fc.record({
    kind: fc.constant('dirichlet'),
    clients: fc.integer({ min: 1, max: 9 }),
    concentration: fc.double({ min: 0.05, max: 50, noNaN: true }),
    minExamples: fc.constant(0),
  }),
  fc.record({
    kind: fc.constant('quantity'),
    clients: fc.integer({ min: 1, max: 9 }),
    distribution: fc.constantFrom('dirichlet', 'lognormal'),
    minExamples: fc.integer({ min: 0, max: 3 }),
  }),
  fc.record({
    kind: fc.constant('shards'),
    clients: fc.integer({ min: 1, max: 9 }),
    shardsPerClient: fc.integer({ min: 1, max: 3 }),
  }),
);

function sizes(partition: Partition): number[] {
  return [...partition.values()].map((positions) => positions.length);
}

function labelsOf(examples: { meta: ExampleMeta }[], positions: readonly number[]): Set<string | undefined> {
  return new Set(positions.map((position) => examples[position]?.meta.label));
}

describe('every partitioner', () => {
  test('gives each example to exactly one owner, in ascending order, and the same for the same seed', () => {
    const property = fc.property(
      choices,
      fc.integer({ min: 27, max: 150 }),
      fc.nat(1000),
      (choice, count, seed) => {
        const examples = examplesOf(count, 5);
        const partition = partitionExamples(examples, choice, seed);
        const all = [...partition.values()].flat().sort((a, b) => a - b);
        expect(all).toEqual([...examples.keys()]);
        for (const positions of partition.values()) {
          expect(positions.length).toBeGreaterThan(0);
          expect([...positions].sort((a, b) => a - b)).toEqual(positions);
        }
        expect([...partitionExamples(examples, choice, seed)]).toEqual([...partition]);
        expect([...partition.keys()].toSorted()).toEqual([...partition.keys()]);
      },
    );
    fc.assert(property, { seed: 9, numRuns: 250 });
  });

  test.each([
    { kind: 'iid', clients: 4 },
    { kind: 'dirichlet', clients: 4, concentration: 1 },
    { kind: 'quantity', clients: 4 },
    { kind: 'shards', clients: 4 },
  ])('another seed gives another partition: $kind', (choice) => {
    const examples = examplesOf(200, 8);
    expect([...partitionExamples(examples, choice, 1)]).not.toEqual([
      ...partitionExamples(examples, choice, 2),
    ]);
  });

  test('is registered under its own id', () => {
    for (const [id, partitioner] of partitioners) expect(partitioner.id).toBe(id);
    expect([...partitioners.keys()]).toEqual(['natural', 'iid', 'dirichlet', 'quantity', 'shards']);
  });
});

test('natural: owners by name', () => {
  const partition = partitionExamples(examplesOf(9, 2), { kind: 'natural' }, SEED);
  expect([...partition]).toEqual([
    ['owner-0', [0, 3, 6]],
    ['owner-1', [1, 4, 7]],
    ['owner-2', [2, 5, 8]],
  ]);
});

test('iid: sizes differ by at most one', () => {
  const partition = partitionExamples(examplesOf(103, 5), { kind: 'iid', clients: 10 }, SEED);
  expect([...partition.keys()].slice(0, 2)).toEqual(['client-0', 'client-1']);
  expect(Math.max(...sizes(partition)) - Math.min(...sizes(partition))).toBe(1);
});

test('dirichlet: small concentrations give few labels, large ones all in equal shares', () => {
  const examples = examplesOf(2000, 20);
  const labelsPerClient = (concentration: number) => {
    const partition = partitionExamples(examples, { kind: 'dirichlet', clients: 10, concentration }, SEED);
    const counts = [...partition.values()].map((positions) => labelsOf(examples, positions).size);
    return counts.reduce((a, b) => a + b, 0) / counts.length;
  };
  expect(labelsPerClient(0.05)).toBeLessThan(8);
  expect(labelsPerClient(1000)).toBe(20);
  const even = partitionExamples(examples, { kind: 'dirichlet', clients: 10, concentration: 1e6 }, SEED);
  for (const positions of even.values()) {
    for (const label of labelsOf(examples, positions)) {
      const held = positions.filter((position) => examples[position]?.meta.label === label).length;
      expect(Math.abs(held - 10)).toBeLessThanOrEqual(1);
    }
  }
});

test('dirichlet: minExamples holds, or the error says what to change', () => {
  const examples = examplesOf(400, 4);
  const choice = { kind: 'dirichlet', clients: 8, concentration: 0.3, minExamples: 10 };
  expect(Math.min(...sizes(partitionExamples(examples, choice, SEED)))).toBeGreaterThanOrEqual(10);
  const impossible = { ...choice, concentration: 0.001, minExamples: 50 };
  expect(() => partitionExamples(examples, impossible, SEED)).toThrow(
    expect.objectContaining({ code: 'OPTION_INVALID', hint: expect.stringContaining('concentration') }),
  );
});

test('quantity: sizes are unequal, content is not', () => {
  const examples = examplesOf(3000, 3);
  for (const distribution of ['dirichlet', 'lognormal']) {
    const choice = { kind: 'quantity', clients: 10, distribution, minExamples: 20 };
    const partition = partitionExamples(examples, choice, SEED);
    expect(Math.min(...sizes(partition))).toBeGreaterThanOrEqual(20);
    expect(Math.max(...sizes(partition))).toBeGreaterThan(3 * Math.min(...sizes(partition)));
    for (const positions of partition.values()) expect(labelsOf(examples, positions).size).toBe(3);
  }
});

test('shards: a client holds at most shardsPerClient labels when shards do not straddle labels', () => {
  const examples = examplesOf(1000, 10);
  const partition = partitionExamples(examples, { kind: 'shards', clients: 10, shardsPerClient: 2 }, SEED);
  expect(sizes(partition)).toEqual(Array(10).fill(100));
  for (const positions of partition.values())
    expect(labelsOf(examples, positions).size).toBeLessThanOrEqual(2);
});

describe('mistakes', () => {
  const bare = [{ meta: { where: 'f.csv:2' } }];
  test.each([
    [{ kind: 'natural' }, 'DATA_INVALID', /no owner/],
    [{ kind: 'shards', clients: 1, shardsPerClient: 1 }, 'DATA_INVALID', /no label/],
    [{ kind: 'dirichlet', clients: 1, concentration: 1 }, 'DATA_INVALID', /no label/],
    [{ kind: 'iid', clients: 2 }, 'OPTION_INVALID', /1 examples are too few for 2 clients/],
    [{ kind: 'dirichlet', clients: 1 }, 'OPTION_INVALID', /concentration/],
    [{ kind: 'iid', clients: 1, client: 2 }, 'OPTION_INVALID', /client/],
    [{ kind: 'dirichlett' }, 'OPTION_INVALID', /did you mean "dirichlet"/],
  ])('%j', (choice, code, message) => {
    expect(() => partitionExamples(bare, choice, SEED)).toThrow(
      expect.objectContaining({ code, message: expect.stringMatching(message) }),
    );
  });
});

describe('shares', () => {
  test('rounded sizes sum to the total and are within one of the exact share', () => {
    const weights = fc.array(fc.double({ min: 0.001, max: 1, noNaN: true }), { minLength: 1, maxLength: 20 });
    const property = fc.property(weights, fc.nat(5000), (raw, total) => {
      const sum = raw.reduce((a, b) => a + b, 0);
      const shares = raw.map((weight) => weight / sum);
      const rounded = sizesFrom(shares, total);
      expect(rounded.reduce((a, b) => a + b, 0)).toBe(total);
      rounded.forEach((size, i) => {
        expect(Math.abs(size - (shares[i] as number) * total)).toBeLessThan(1.000001);
      });
    });
    fc.assert(property, { seed: 6, numRuns: 200 });
  });

  test('Dirichlet shares have the mean 1/K and the variance of the distribution, and survive tiny concentrations', () => {
    const [clients, concentration, draws] = [4, 0.5, 4000];
    const random = rng('dirichlet moments');
    const firsts = Array.from(
      { length: draws },
      () => dirichletShares(clients, concentration, random)[0] as number,
    );
    const mean = firsts.reduce((a, b) => a + b, 0) / draws;
    const variance = firsts.reduce((a, b) => a + (b - mean) ** 2, 0) / draws;
    expect(mean).toBeCloseTo(1 / clients, 1);
    // Var = (K − 1) / (K² (K·concentration + 1))
    expect(variance).toBeCloseTo((clients - 1) / (clients ** 2 * (clients * concentration + 1)), 2);
    const tiny = dirichletShares(5, 1e-4, random);
    expect(tiny.reduce((a, b) => a + b, 0)).toBeCloseTo(1, 12);
  });
});
