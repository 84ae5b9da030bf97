import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Params, tensor } from '../base/tensor.ts';
import {
  addUpdate,
  emptySum,
  mergeSum,
  type PartialSum,
  planFixedPoint,
  quantise,
  takeMean,
} from './fixed-point.ts';

const LENGTH = 7;
const tensors = [
  { name: 'a', shape: [LENGTH] },
  { name: 'b', shape: [1, LENGTH] },
];
const options = { fractionBits: 30, range: 8 };
const plan = planFixedPoint(tensors, options);

interface Weighted {
  readonly update: Params;
  readonly weight: number;
}

const values = fc.float32Array({ minLength: LENGTH, maxLength: LENGTH, noNaN: true, min: -12, max: 12 });
const weighted: fc.Arbitrary<Weighted> = fc.record({
  update: fc.tuple(values, values).map(
    ([a, b]): Params =>
      new Map([
        ['a', tensor('float32', [LENGTH], a)],
        ['b', tensor('float32', [1, LENGTH], b)],
      ]),
  ),
  weight: fc.integer({ min: 1, max: 50_000 }),
});
const cohort = fc.array(weighted, { minLength: 1, maxLength: 20 });

function sumOf(items: readonly Weighted[]): PartialSum {
  const sum = emptySum();
  for (const { update, weight } of items) addUpdate(plan, sum, update, weight);
  return sum;
}

function bits(sum: PartialSum): string {
  const { mean, report } = takeMean(plan, sum);
  const hex = [...mean.values()].map(({ data }) => Buffer.from(data.buffer).toString('hex'));
  return JSON.stringify([hex, report]);
}

describe('fixed-point aggregation', () => {
  it('the order of the clients changes no bit', () => {
    const shuffledCohort = cohort.chain((items) =>
      fc.tuple(fc.constant(items), fc.shuffledSubarray(items, { minLength: items.length })),
    );
    fc.assert(
      fc.property(shuffledCohort, ([items, order]) => {
        expect(bits(sumOf(order))).toBe(bits(sumOf(items)));
      }),
    );
  });

  it('any tree of partial sums gives the bits of the flat sum', () => {
    fc.assert(
      fc.property(cohort, fc.array(fc.nat(), { minLength: 20, maxLength: 20 }), (items, choices) => {
        const parts = items.map((item) => sumOf([item]));
        // Merge two random parts until one is left: every binary tree is reachable.
        for (const choice of choices.concat(choices).slice(0, items.length - 1)) {
          const [taken] = parts.splice(choice % parts.length, 1);
          mergeSum(parts[choice % parts.length]!, taken!);
        }
        expect(bits(parts[0]!)).toBe(bits(sumOf(items)));
      }),
    );
  });

  it('the sums are the exact integers', () => {
    fc.assert(
      fc.property(cohort, (items) => {
        const { sums } = sumOf(items);
        for (const { name, shape, ...scale } of plan.tensors) {
          for (let i = 0; i < LENGTH; i++) {
            const exact = items.reduce((total, { update, weight }) => {
              const q = quantise(update.get(name)!.data[i]!, { name, shape, ...scale });
              return total + BigInt(weight) * BigInt(q);
            }, 0n);
            expect(BigInt(sums.get(name)![i]!)).toBe(exact);
          }
        }
      }),
    );
  });

  it('without clamping the mean is within the reported bound, with it the clamps are counted', () => {
    fc.assert(
      fc.property(cohort, (items) => {
        const { mean, report } = takeMean(plan, sumOf(items));
        const total = items.reduce((sum, { weight }) => sum + weight, 0);
        let clamped = 0;
        for (const name of ['a', 'b']) {
          for (let i = 0; i < LENGTH; i++) {
            const xs = items.map(({ update }) => update.get(name)!.data[i]!);
            const outside = xs.filter((x) => Math.abs(x) > options.range).length;
            clamped += outside;
            const exact = xs.reduce((sum, x, k) => sum + x * items[k]!.weight, 0) / total;
            const float32Error = Math.abs(exact) * 2 ** -24 + 2 ** -149;
            if (outside === 0)
              expect(Math.abs(mean.get(name)!.data[i]! - exact)).toBeLessThanOrEqual(
                report.quantisationErrorBound + float32Error + 1e-13,
              );
          }
        }
        expect(report.clamped).toBe(clamped);
        expect(report.coordinates).toBe(items.length * 2 * LENGTH);
      }),
    );
  });

  it('the bound is 2^−(f+1) and is reached', () => {
    const coarse = planFixedPoint([{ name: 'a', shape: [1] }], { fractionBits: 8, range: 1 });
    const sum = emptySum();
    addUpdate(coarse, sum, new Map([['a', tensor('float32', [1], Float32Array.of(3 * 2 ** -9))]]), 1);
    const { mean, report } = takeMean(coarse, sum);
    expect(report.quantisationErrorBound).toBe(2 ** -9);
    expect(mean.get('a')!.data[0]).toBe(4 * 2 ** -9);
  });

  it.each([
    [0.5, 0],
    [1.5, 2],
    [2.5, 2],
    [-0.5, 0],
    [-1.5, -2],
    [0.49999999999999994, 0],
    [100, 64],
    [-100, -64],
  ])('%d quanta round to %d: ties to even, outside values to the range', (x, q) => {
    const scale = { name: 'a', shape: [1], fractionBits: 2, range: 16 };
    expect(quantise(x / 4, scale) + 0).toBe(q + 0);
  });

  it('identical updates are their own mean, whatever the weights', () => {
    const update: Params = new Map([
      ['a', tensor('float32', [LENGTH], new Float32Array(LENGTH).fill(0.125))],
    ]);
    const { mean } = takeMean(plan, sumOf([3, 5, 7].map((weight) => ({ update, weight }))));
    expect([...mean.get('a')!.data]).toEqual([...update.get('a')!.data]);
    expect(mean.has('b')).toBe(false);
  });

  it('range and bits that leave no room for a weight are refused with numbers', () => {
    expect(() => planFixedPoint(tensors, { fractionBits: 40, range: 2 ** 12 })).toThrow(/4503599627370496/);
    expect(() => planFixedPoint(tensors, { fractionBits: 40, range: 2 ** 12 })).toThrow(
      expect.objectContaining({ code: 'AGGREGATION_OVERFLOW' }),
    );
  });

  it('the largest total weight still sums exactly at the range', () => {
    const sum = emptySum();
    const extreme: Params = new Map([['a', tensor('float32', [LENGTH], new Float32Array(LENGTH).fill(-8))]]);
    addUpdate(plan, sum, extreme, plan.maxTotalWeight - 1);
    addUpdate(plan, sum, extreme, 1);
    expect(Math.abs(sum.sums.get('a')![0]!)).toBeLessThan(2 ** 53);
    expect(takeMean(plan, sum).mean.get('a')!.data[0]).toBe(-8);
    expect(() => addUpdate(plan, sum, extreme, 1)).toThrow(/exceed/);
  });
});
