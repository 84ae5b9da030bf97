import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Params, tensor } from '../base/tensor.ts';
import { fromSparse, largestOf, numKept, toSparse } from './sparse-update.ts';

const two = (values: Float32Array): Params =>
  new Map([
    ['b', tensor('float32', [4], values.slice(6))],
    ['a', tensor('float32', [2, 3], values.slice(0, 6))],
  ]);
const anyParams = fc
  .float32Array({ minLength: 10, maxLength: 10, noNaN: true, min: -9, max: 9 })
  .filter((values) => values.every((x) => x !== 0))
  .map(two);
const flat = (params: Params) => ['a', 'b'].flatMap((name) => [...params.get(name)!.data]);

describe('the largest elements of an update', () => {
  it('are as many as asked for, over all tensors together, the others zero', () => {
    fc.assert(
      fc.property(anyParams, fc.integer({ min: 1, max: 10 }), (params, count) => {
        const values = flat(params);
        const kept = flat(largestOf(params, count));
        expect(kept.filter((x) => x !== 0)).toHaveLength(count);
        for (const [i, value] of kept.entries()) expect([0, values[i]]).toContain(value);
        const smallest = Math.min(...kept.filter((x) => x !== 0).map(Math.abs));
        for (const [i, value] of values.entries())
          if (kept[i] === 0) expect(Math.abs(value)).toBeLessThanOrEqual(smallest);
      }),
    );
  });

  it('all of them are the update itself', () => {
    fc.assert(
      fc.property(anyParams, (params) => {
        expect(flat(fromSparse(toSparse(params, 10), params))).toEqual(flat(params));
      }),
    );
  });

  it('places from strangers that lead outside count for nothing', () => {
    const like = two(new Float32Array(10));
    const sparse: Params = new Map([
      ['sparse.gaps', tensor('float32', [3], Float32Array.of(2, -5, 1e9))],
      ['sparse.values', tensor('float32', [3], Float32Array.of(1, 2, 3))],
    ]);
    expect(flat(fromSparse(sparse, like))).toEqual([0, 1, 2, 0, 0, 0, 0, 0, 0, 0]);
  });

  it('a share is rounded down, and one element is the least', () => {
    expect([numKept(10, 0.39), numKept(10, 0.01), numKept(10, 1)]).toEqual([3, 1, 10]);
  });
});
