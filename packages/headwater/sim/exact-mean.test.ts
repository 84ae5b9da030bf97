import { describe, expect, it } from 'vitest';
import { type Params, tensor } from '../src/base/tensor.ts';
import { exactRound } from './exact-mean.ts';

const params = (...values: number[]): Params =>
  new Map([['w', tensor('float32', [values.length], Float32Array.from(values))]]);
const scale = { fractionBits: 2, range: 8 };

describe('exact mean', () => {
  it('is params + η · Σ w q / Σ w', () => {
    const updates = [
      { weight: 3, freshWeight: 3, update: params(1, 0) },
      { weight: 1, freshWeight: 1, update: params(-2, 4) },
    ];
    expect([...exactRound(params(10, 20), updates, scale, 2).get('w')!.data]).toEqual([10.5, 22]);
  });

  it('rounds half to even, clamps, and divides by fresh weights', () => {
    const one = (value: number, weight = 1) =>
      exactRound(params(0), [{ weight, freshWeight: 2, update: params(value) }], scale, 1).get('w')!.data[0];
    expect(one(0.125, 2)).toBe(0);
    expect(one(0.375, 2)).toBe(0.5);
    expect(one(-0.375, 2)).toBe(-0.5);
    expect(one(100, 2)).toBe(8);
    expect(one(1, 1)).toBe(0.5);
  });
});
