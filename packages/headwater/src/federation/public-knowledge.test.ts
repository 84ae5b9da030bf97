import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { TokenizedExample } from '../data/types.ts';
import {
  combineKnowledge,
  IDS,
  type KnowledgeSize,
  LOSSES,
  PROBABILITIES,
  packKnowledge,
  packRows,
  unpackKnowledge,
  unpackRows,
  type WeightedKnowledge,
} from './public-knowledge.ts';

const SIZE: KnowledgeSize = { rows: 2, length: 6, tokens: 2, topK: 3 };

function example(tokens: readonly number[], supervised: readonly number[]): TokenizedExample {
  const numTargets = supervised.reduce((sum, one) => sum + one, 0);
  return { tokens: Int32Array.from(tokens), supervised: Uint8Array.from(supervised), numTargets };
}

describe('rows as tensors', () => {
  it('come back as they were, where they fit', () => {
    const row = fc
      .array(fc.tuple(fc.nat(60_000), fc.nat(1)), { minLength: 2, maxLength: 6 })
      .filter((pairs) => pairs.slice(1).some(([, target]) => target === 1));
    fc.assert(
      fc.property(row, (pairs) => {
        // The first token has nothing that it could be predicted from.
        const targets = pairs.map(([, target], i) => (i === 0 ? 0 : target));
        const size = { ...SIZE, tokens: 6 };
        const [found, none] = unpackRows(
          packRows(
            [
              example(
                pairs.map(([id]) => id),
                targets,
              ),
            ],
            size,
          ),
        );
        const end = targets.lastIndexOf(1) + 1;
        expect([...found!.tokens]).toEqual(pairs.slice(0, end).map(([id]) => id));
        expect([...found!.supervised]).toEqual(targets.slice(0, end));
        expect(none).toBeUndefined();
      }),
    );
  });

  it('keep the first targets and the tokens before them', () => {
    const long = example([1, 2, 3, 4, 5, 6, 7, 8, 9], [0, 0, 0, 0, 0, 0, 1, 1, 1]);
    const [found] = unpackRows(packRows([long], SIZE));
    expect([...found!.tokens]).toEqual([3, 4, 5, 6, 7, 8]);
    expect([...found!.supervised]).toEqual([0, 0, 0, 0, 1, 1]);
  });

  it('keep a class, and the beginning of a text', () => {
    const text = { ...example([5, 6, 7, 8, 9, 10, 11], [0, 0, 0, 0, 0, 0, 0]), numTargets: 1, classId: 4 };
    const [found] = unpackRows(packRows([text], SIZE));
    expect(found).toMatchObject({ classId: 4, numTargets: 1 });
    expect([...found!.tokens]).toEqual([5, 6, 7, 8, 9, 10]);
  });
});

/** Of one row with one target: what a model says, and its loss there. */
function said(weight: number, masses: Readonly<Record<number, number>>, loss = 1): WeightedKnowledge {
  const ids = Int32Array.from({ length: 3 }, (_, i) => Number(Object.keys(masses)[i] ?? 0));
  const probabilities = Float32Array.from({ length: 3 }, (_, i) => Object.values(masses)[i] ?? 0);
  return { weight, knowledge: packKnowledge([{ ids, probabilities, nll: loss, numTargets: 1 }], SIZE) };
}

const byWeight = (_losses: readonly number[], weights: readonly number[]) => weights;

function distribution(all: readonly WeightedKnowledge[], weightsOf = byWeight): Record<number, number> {
  const [row, other] = unpackKnowledge(combineKnowledge(all, SIZE, weightsOf), SIZE);
  expect(other).toBeUndefined();
  return Object.fromEntries([...row!.ids.subarray(0, 3)].map((id, i) => [id, row!.probabilities[i]!]));
}

const anyModel = fc
  .record({
    weight: fc.integer({ min: 1, max: 9 }),
    ids: fc.uniqueArray(fc.nat(9), { minLength: 3, maxLength: 3 }),
    masses: fc.array(fc.double({ min: 0.01, max: 0.3, noNaN: true }), { minLength: 3, maxLength: 3 }),
    loss: fc.double({ min: 0, max: 5, noNaN: true }),
  })
  .map(({ weight, ids, masses, loss }) =>
    said(weight, Object.fromEntries(ids.map((id, i) => [id, masses[i]!])), loss),
  );

describe('what models say together', () => {
  it('of one model is what it says, scaled to 1', () => {
    const found = distribution([said(7, { 4: 0.4, 2: 0.1, 9: 0.3 })]);
    for (const [id, q] of [
      [4, 0.5],
      [2, 0.125],
      [9, 0.375],
    ] as const)
      expect(found[id]).toBeCloseTo(q, 6);
  });

  it('is the weighted mean, cut to its largest: exact figures', () => {
    const found = distribution([said(1, { 1: 0.6, 2: 0.2, 3: 0.2 }), said(3, { 2: 0.4, 3: 0.4, 4: 0.2 })]);
    // Masses: 1 0.6, 2 1.4, 3 1.4, 4 0.6; of equals the smaller id stays.
    expect(Object.keys(found).map(Number).sort()).toEqual([1, 2, 3]);
    for (const [id, q] of [
      [1, 0.6 / 3.4],
      [2, 1.4 / 3.4],
      [3, 1.4 / 3.4],
    ] as const)
      expect(found[id]).toBeCloseTo(q, 6);
  });

  it('is uniform where all are, and is a distribution whatever they say', () => {
    const uniform = distribution([1, 2, 5].map((weight) => said(weight, { 0: 0.2, 1: 0.2, 2: 0.2 })));
    for (const q of Object.values(uniform)) expect(q).toBeCloseTo(1 / 3, 6);
    fc.assert(
      fc.property(fc.array(anyModel, { minLength: 1, maxLength: 5 }), (models) => {
        const masses = Object.values(distribution(models));
        expect(masses.reduce((sum, q) => sum + q, 0)).toBeCloseTo(1, 5);
        expect(masses.every((q) => q >= 0 && q <= 1)).toBe(true);
      }),
    );
  });

  it('does not depend on their order', () => {
    fc.assert(
      fc.property(fc.array(anyModel, { minLength: 2, maxLength: 5 }), (models) => {
        const [there, back] = [models, [...models].reverse()].map((all) =>
          combineKnowledge(all, SIZE, byWeight),
        );
        for (const name of [PROBABILITIES, LOSSES])
          for (const [i, value] of there!.get(name)!.data.entries())
            expect(back!.get(name)!.data[i]).toBeCloseTo(value, 5);
      }),
    );
  });

  it('ignores what is no token and no probability, and whoever says nothing', () => {
    const broken = said(1, { 3: 0.5 });
    const ids = broken.knowledge.get(IDS)!.data;
    const q = broken.knowledge.get(PROBABILITIES)!.data;
    [ids[1], q[1]] = [0.5, 0.4];
    [ids[2], q[2]] = [-2, 0.4];
    const silent = { weight: 100, knowledge: packKnowledge([], SIZE) };
    const found = distribution([broken, silent, said(1, { 3: 0.5 })]);
    expect(found[3]).toBeCloseTo(1, 6);
    const [row] = unpackKnowledge(combineKnowledge([said(1, { 3: 1 }, 2), silent], SIZE, byWeight), SIZE);
    expect(row!.loss).toBe(2);
  });
});
