import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { batchOf, lengthBucket, makeBatches, packRows, targetBucket } from './batches.ts';
import type { Batch, TokenizedExample } from './types.ts';

/** Tokens are unique numbers, so that a batch tells where each came from. */
function exampleOf(length: number, start: number, flags: readonly boolean[]): TokenizedExample {
  const supervised = Uint8Array.from({ length }, (_, i) => (i > 0 && flags[i % flags.length] ? 1 : 0));
  return {
    tokens: Int32Array.from({ length }, (_, i) => start + i),
    supervised,
    numTargets: supervised.reduce((a, b) => a + b, 0),
  };
}

const MAX = 48;
const examplesArbitrary = fc
  .array(fc.tuple(fc.integer({ min: 1, max: MAX }), fc.array(fc.boolean(), { minLength: 1, maxLength: 5 })), {
    maxLength: 40,
  })
  .map((items) => items.map(([length, flags], i) => exampleOf(length, 1 + i * 100, flags)));

const optionsArbitrary = fc.record({
  batchSize: fc.integer({ min: 1, max: 6 }),
  packing: fc.boolean(),
  order: fc.constantFrom('given' as const, 'length' as const),
});

/** Segments of a batch: row, id, tokens, positions. */
function segmentsOf(batch: Batch) {
  const found = new Map<string, { tokens: number[]; positions: number[]; flats: number[] }>();
  batch.segments.forEach((segment, flat) => {
    if (segment === 0) return;
    const key = `${Math.floor(flat / batch.length)}/${segment}`;
    const entry = found.get(key) ?? { tokens: [], positions: [], flats: [] };
    entry.tokens.push(batch.tokens[flat] as number);
    entry.positions.push(batch.positions[flat] as number);
    entry.flats.push(flat);
    found.set(key, entry);
  });
  return [...found.values()];
}

describe('makeBatches', () => {
  test('every example is in exactly one batch, whole, in one segment, with restarting positions', () => {
    const property = fc.property(examplesArbitrary, optionsArbitrary, (examples, options) => {
      const batches = makeBatches(examples, { ...options, maxLength: MAX });
      const indices = batches.flatMap(({ exampleIndices }) => exampleIndices);
      expect([...indices].sort((a, b) => a - b)).toEqual([...examples.keys()]);
      const segments = batches.flatMap(segmentsOf);
      const tokens = segments.map((segment) => segment.tokens).sort((a, b) => (a[0] ?? 0) - (b[0] ?? 0));
      expect(tokens).toEqual(examples.map((example) => [...example.tokens]));
      for (const { positions, flats } of segments) {
        expect(positions).toEqual([...positions.keys()]);
        expect(flats.at(-1)).toBe((flats[0] ?? 0) + flats.length - 1);
      }
    });
    fc.assert(property, { seed: 1, numRuns: 200 });
  });

  test('targets come back: each supervised token once, predicted from the row before it, in its own segment', () => {
    const property = fc.property(examplesArbitrary, optionsArbitrary, (examples, options) => {
      const targets: [number, number][] = [];
      for (const batch of makeBatches(examples, { ...options, maxLength: MAX })) {
        for (let slot = 0; slot < batch.targetIds.length; slot++) {
          if (batch.targetMask[slot] === 0) {
            expect([batch.targetIndex[slot], batch.targetIds[slot], batch.targetExample[slot]]).toEqual([
              0, 0, -1,
            ]);
            continue;
          }
          const flat = batch.targetIndex[slot] as number;
          expect(batch.tokens[flat + 1]).toBe(batch.targetIds[slot]);
          expect(batch.segments[flat + 1]).toBe(batch.segments[flat]);
          expect((flat + 1) % batch.length).not.toBe(0);
          targets.push([batch.targetExample[slot] as number, batch.targetIds[slot] as number]);
        }
        expect(batch.numTargets).toBe(batch.targetMask.reduce((a, b) => a + b, 0));
        expect(batch.numTokens).toBe(batch.segments.filter((segment) => segment > 0).length);
      }
      const expected = examples.flatMap(({ tokens, supervised }, index) =>
        [...tokens].filter((_, i) => supervised[i] === 1).map((token): [number, number] => [index, token]),
      );
      const byToken = (a: [number, number], b: [number, number]) => a[1] - b[1];
      expect(targets.sort(byToken)).toEqual(expected);
    });
    fc.assert(property, { seed: 2, numRuns: 200 });
  });

  test('order given keeps the order; order length wastes less; the same input gives the same batches', () => {
    const examples = [40, 3, 39, 4, 38, 5].map((length, i) => exampleOf(length, 1 + i * 100, [true]));
    const given = makeBatches(examples, { batchSize: 2, maxLength: MAX });
    expect(given.map(({ exampleIndices }) => exampleIndices)).toEqual([
      [0, 1],
      [2, 3],
      [4, 5],
    ]);
    const sorted = makeBatches(examples, { batchSize: 2, maxLength: MAX, order: 'length' });
    expect(sorted.map(({ exampleIndices }) => exampleIndices)).toEqual([
      [1, 3],
      [5, 4],
      [2, 0],
    ]);
    expect(makeBatches(examples, { batchSize: 2, maxLength: MAX })).toEqual(given);
  });

  test('packing fills rows and shrinks the batch to the rows it needs', () => {
    const examples = Array.from({ length: 8 }, (_, i) => exampleOf(12, 1 + i * 100, [true]));
    const [packed, ...more] = makeBatches(examples, { batchSize: 8, maxLength: 48, packing: true });
    expect(more).toEqual([]);
    expect([packed?.batchSize, packed?.length, packed?.numTokens]).toEqual([2, 48, 96]);
    expect(packed?.segments.slice(0, 48)).toEqual(
      Int32Array.from({ length: 48 }, (_, t) => 1 + Math.floor(t / 12)),
    );
  });

  test('a first token marked as supervised is not a target', () => {
    const example = { tokens: Int32Array.of(5, 6), supervised: Uint8Array.of(1, 1), numTargets: 2 };
    const [batch] = makeBatches([example], { batchSize: 1, maxLength: 16 });
    expect(batch?.numTargets).toBe(1);
    expect(batch?.targetIds[0]).toBe(6);
  });

  test('no examples make no batches', () => {
    expect(makeBatches([], { batchSize: 4, maxLength: 16, packing: true })).toEqual([]);
  });
});

describe('static shapes', () => {
  test('lengths fall into the buckets 16, 24, 32, 40 … and never exceed maxLength', () => {
    const lengths = [1, 16, 17, 24, 25, 33, 49, 65, 97, 129, 193];
    expect(lengths.map((length) => lengthBucket(length, 1024))).toEqual([
      16, 16, 24, 24, 32, 40, 56, 96, 128, 192, 256,
    ]);
    expect(lengthBucket(57, 60)).toBe(60);
    expect(lengthBucket(3, 8)).toBe(8);
    expect(() => lengthBucket(61, 60)).toThrow(/exceeds maxLength/);
  });

  test('target slots are one of three per shape and always enough', () => {
    const shape = { batchSize: 8, length: 48 };
    const slots = new Set<number>();
    for (let targets = 0; targets <= 8 * 48; targets++) {
      const bucket = targetBucket(targets, shape);
      expect(bucket).toBeGreaterThanOrEqual(Math.max(1, targets));
      slots.add(bucket);
    }
    expect([...slots].sort((a, b) => a - b)).toEqual([24, 96, 384]);
  });

  test('batchOf makes exactly the shape asked for and refuses what does not fit', () => {
    const examples = [exampleOf(5, 1, [true]), exampleOf(7, 100, [true])];
    const batch = batchOf(examples, { batchSize: 3, length: 9, targetSlots: 20 });
    expect([batch.tokens.length, batch.targetIds.length, batch.numTargets]).toEqual([27, 20, 10]);
    expect([...batch.tokens.slice(18)]).toEqual(Array(9).fill(0));
    expect(() => batchOf(examples, { batchSize: 1, length: 9 })).toThrow(/2 rows/);
    expect(() => batchOf(examples, { batchSize: 2, length: 6 })).toThrow(/exceeds 6 tokens/);
    expect(() => batchOf(examples, { batchSize: 2, length: 9, targetSlots: 9 })).toThrow(/10 targets/);
  });
});

describe('packRows', () => {
  test('first-fit decreasing: no row overflows, and no row could take the longest of a later row', () => {
    const property = fc.property(examplesArbitrary, (examples) => {
      const rows = packRows(examples, [...examples.keys()], MAX);
      const lengthOf = (index: number) => examples[index]?.tokens.length ?? 0;
      const fill = rows.map((row) => row.reduce((sum, index) => sum + lengthOf(index), 0));
      expect(fill.every((sum) => sum <= MAX)).toBe(true);
      rows.forEach((row, later) => {
        const first = lengthOf(row[0] as number);
        // When this row was opened, every earlier row was too full for its first example.
        for (const earlier of rows.slice(0, later)) {
          const before = earlier.filter((index) => lengthOf(index) >= first);
          expect(before.reduce((sum, index) => sum + lengthOf(index), 0) + first).toBeGreaterThan(MAX);
        }
      });
    });
    fc.assert(property, { seed: 4, numRuns: 200 });
  });
});
