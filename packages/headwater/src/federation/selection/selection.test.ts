import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { rng, sampled } from '../../base/random.ts';
import { chooseOwners, plannedSelection, selections } from './registry.ts';
import type { Candidate, SelectionContext, Trained } from './selection.ts';
import { weightedSample } from './weighted-sample.ts';

const owners = (count: number, weights: readonly number[] = []): Candidate[] =>
  Array.from({ length: count }, (_, i) => ({
    owner: `o${String(i).padStart(2, '0')}`,
    aggregationWeight: weights[i] ?? 1,
    numExamples: 10,
  }));
/** Losses by number of the owner. */
const seen = (losses: Readonly<Record<number, number | null>>): Trained =>
  Object.fromEntries(Object.entries(losses).map(([i, loss]) => [`o${i.padStart(2, '0')}`, { loss }]));
const took = (times: Readonly<Record<number, number>>): Trained =>
  Object.fromEntries(
    Object.entries(times).map(([i, tookMs]) => [`o${i.padStart(2, '0')}`, { loss: 1, tookMs }]),
  );

const context = (parts: Partial<SelectionContext>): SelectionContext => ({
  ...{ round: 1, count: 3, candidates: owners(10), history: [], random: rng('selection') },
  ...parts,
});

function chosen(kind: string, options: object, parts: Partial<SelectionContext>): string[] {
  return chooseOwners({ kind, ...options }, context(parts))
    .map(({ owner }) => owner)
    .sort();
}

/** How often each owner was chosen over `draws` seeds. */
function counts(kind: string, options: object, parts: Partial<SelectionContext>, draws = 3000): number[] {
  const times = new Map((parts.candidates ?? owners(10)).map(({ owner }) => [owner, 0]));
  for (let seed = 0; seed < draws; seed++)
    for (const owner of chosen(kind, options, { ...parts, random: rng('draw', seed) }))
      times.set(owner, times.get(owner)! + 1);
  return [...times.values()];
}

const observations = fc.record({
  loss: fc.option(fc.double({ min: 0, max: 20, noNaN: true })),
  tookMs: fc.integer({ min: 1, max: 100_000 }),
});
const histories = fc.array(
  fc.dictionary(
    fc.integer({ min: 0, max: 9 }).map((i) => `o0${i}`),
    observations,
    { maxKeys: 5 },
  ),
  { maxLength: 45 },
);

describe.each([...selections.keys()])('client selection %s', (kind) => {
  const options = kind === 'oort' ? { speedPenalty: 2, blacklistAfter: 2 } : {};

  it('chooses so many distinct candidates, whatever happened before, and the same again', () => {
    fc.assert(
      fc.property(histories, fc.integer({ min: 1, max: 9 }), fc.nat(), (history, count, seed) => {
        const parts = () => ({ history, count, round: history.length + 1, random: rng('any', seed) });
        const first = chosen(kind, options, parts());
        expect(new Set(first).size).toBe(count);
        expect(first.every((owner) => owners(10).some((known) => known.owner === owner))).toBe(true);
        expect(chosen(kind, options, parts())).toEqual(first);
      }),
    );
  });

  it('says where it comes from, and has defaults', () => {
    const { source, options: schema } = selections.get(kind)!;
    expect(source).toMatch(/\d{4}/);
    expect(schema.safeParse({}).success).toBe(true);
  });
});

describe('uniform', () => {
  it('draws the very owners that runs drew before there was a choice, and leaves no word in the plan', () => {
    const names = owners(10).map(({ owner }) => owner);
    expect(chosen('uniform', {}, {})).toEqual([...sampled(names, 3, rng('selection'))].sort());
    expect(plannedSelection({ kind: 'uniform' })).toBeUndefined();
    expect(plannedSelection({ kind: 'oort' })).toEqual({ kind: 'oort' });
  });
});

describe('power-of-choice', () => {
  const history = [seen({ 0: 5, 1: 1, 2: 3, 3: 2, 4: 4, 5: 0.5, 6: 0.1, 7: 0.2, 8: 0.3, 9: 0.4 })];

  it('with as many candidates as places is uniform: the same owners for the same seed', () => {
    for (let seed = 0; seed < 50; seed++) {
      const random = () => rng('same', seed);
      const parts = { history, round: 2, random: random() };
      expect(chosen('power-of-choice', { candidates: 3 }, parts)).toEqual(
        chosen('uniform', {}, { ...parts, random: random() }),
      );
    }
  });

  it('with as many candidates as owners asks those with the largest loss', () => {
    expect(chosen('power-of-choice', { candidates: 10 }, { history })).toEqual(['o00', 'o02', 'o04']);
    const fewer = { candidates: 2 };
    expect(chosen('power-of-choice', fewer, { history })).toHaveLength(3);
  });

  it('asks first who never trained; who keeps silent about its loss counts as the mean', () => {
    const unknown = [seen({ 0: 5, 1: 1, 2: 3 })];
    const all = { candidates: 5, ...{} };
    expect(chosen('power-of-choice', all, { history: unknown, candidates: owners(5), count: 2 })).toEqual([
      'o03',
      'o04',
    ]);
    const silent = [seen({ 0: 5, 1: 1, 2: 3, 3: null, 4: 2 })];
    expect(chosen('power-of-choice', all, { history: silent, candidates: owners(5), count: 2 })).toEqual([
      'o00',
      'o02',
    ]);
  });

  it('may draw its candidates by weight', () => {
    const heavy = owners(4, [1, 1, 1, 7]);
    const parts = { candidates: heavy, count: 1 };
    const times = counts('power-of-choice', { candidates: 1, draw: 'weight' }, parts);
    // 0.7 ± five standard deviations of 3000 draws.
    expect(Math.abs(times[3]! / 3000 - 0.7)).toBeLessThan(0.042);
  });
});

describe('oort', () => {
  const known = seen({ 0: 5, 1: 1, 2: 3, 3: 2, 4: 4, 5: 0.5, 6: 0.1 });

  it('exploration 1 asks only who never trained, while there are such owners', () => {
    const all = { exploration: 1, explorationDecay: 1 };
    expect(chosen('oort', all, { history: [known], round: 2 })).toEqual(['o07', 'o08', 'o09']);
    const more = chosen('oort', all, { history: [known], round: 2, count: 5 });
    expect(more).toEqual(expect.arrayContaining(['o07', 'o08', 'o09']));
    expect(more).toHaveLength(5);
  });

  it('exploration 0 asks whose loss is large', () => {
    const none = { exploration: 0, minExploration: 0, cutOff: 1 };
    // Of 7 known ones, those at or above the fourth best.
    const asked = new Set(
      Array.from({ length: 50 }, (_, seed) =>
        chosen('oort', none, { history: [known], round: 2, random: rng('large', seed) }),
      ).flat(),
    );
    expect([...asked].sort()).toEqual(['o00', 'o02', 'o03', 'o04']);
  });

  it('explores less and less, but never less than it must', () => {
    const candidates = owners(40);
    const history = [seen(Object.fromEntries(Array.from({ length: 20 }, (_, i) => [i, 1])))];
    const fresh = (round: number) =>
      chosen('oort', {}, { history, candidates, count: 10, round }).filter((owner) => owner >= 'o20').length;
    expect([1, 2, 10, 60].map(fresh)).toEqual([9, 9, 6, 2]);
  });

  it('never asks who was asked too often, while others can fill the cohort', () => {
    const often = Array.from({ length: 4 }, () => seen({ 0: 9, 1: 9, 2: 9 }));
    const asked = counts('oort', { blacklistAfter: 3 }, { history: [known, ...often], round: 6 }, 200);
    expect(asked.slice(0, 3)).toEqual([0, 0, 0]);
    const unlisted = counts('oort', {}, { history: [known, ...often], round: 6 }, 200);
    expect(Math.min(...unlisted.slice(0, 3))).toBeGreaterThan(0);
    // A cohort of nine leaves room for one on the list.
    const large = chosen('oort', { blacklistAfter: 3 }, { history: [known, ...often], round: 6, count: 9 });
    expect(large).toHaveLength(9);
  });

  it('is blind to speed without a penalty, and asks slow owners less with one', () => {
    const times = { 0: 100, 1: 100, 2: 100, 3: 100, 4: 100, 5: 100, 6: 100, 7: 100, 8: 100, 9: 100_000 };
    const swift = [took(Object.fromEntries(Object.keys(times).map((i) => [i, 100])))];
    const slow = [took(times)];
    const none = { exploration: 0, minExploration: 0, cutOff: 0 };
    const parts = { round: 5, count: 2 };
    expect(counts('oort', none, { ...parts, history: slow }, 300)).toEqual(
      counts('oort', none, { ...parts, history: swift }, 300),
    );
    const punished = counts('oort', { ...none, speedPenalty: 2 }, { ...parts, history: slow }, 300);
    expect(punished[9]!).toBe(0);
    const anyTime = { ...none, speedPenalty: 2, preferredPercentile: 100 };
    expect(counts('oort', anyTime, { ...parts, history: slow }, 300)[9]!).toBeGreaterThan(30);
  });

  it('the pacer lets slower owners in when the cohorts teach no more than before', () => {
    const every = { 0: 100, 1: 100, 2: 100, 3: 100, 4: 100, 5: 100, 6: 100, 7: 100, 8: 100, 9: 100_000 };
    const options = { exploration: 0, minExploration: 0, cutOff: 0, speedPenalty: 2, pacerRounds: 2 };
    const still = Array.from({ length: 40 }, () => took(every));
    const parts = { round: 41, count: 2, history: still };
    // From 30 in 19 steps of 5 to any time.
    expect(counts('oort', options, parts, 300)[9]!).toBeGreaterThan(30);
    expect(counts('oort', { ...options, pacerStep: 0 }, parts, 300)[9]!).toBe(0);
  });

  it('a utility far above the others counts as the percentile below it', () => {
    const one = seen(Object.fromEntries(Array.from({ length: 100 }, (_, i) => [i, i === 99 ? 1e6 : 1])));
    const parts = { candidates: owners(100), history: [one], round: 2, count: 2 };
    const none = { exploration: 0, minExploration: 0 };
    expect(counts('oort', none, parts, 400).at(-1)!).toBeLessThan(20);
    expect(counts('oort', { ...none, clipBound: 1 }, parts, 400).at(-1)!).toBeGreaterThan(30);
  });
});

describe('drawing by weight', () => {
  it('is without replacement, and zeros come last', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(5), { minLength: 1, maxLength: 8 }), fc.nat(), (weights, seed) => {
        const items = [...weights.keys()];
        const all = weightedSample(items, items.length, (i) => weights[i]!, rng('w', seed));
        expect(all.toSorted((a, b) => a - b)).toEqual(items);
        const first = all.map((i) => weights[i]!).indexOf(0);
        if (first >= 0) expect(all.slice(first).every((i) => weights[i] === 0)).toBe(true);
      }),
    );
  });
});
