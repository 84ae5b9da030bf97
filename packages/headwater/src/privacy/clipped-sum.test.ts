import { describe, expect, it } from 'vitest';
import { rng } from '../base/random.ts';
import { clippedSum } from './clipped-sum.ts';
import { secretWords } from './secret-words.ts';

const SIZE = 200_000;

describe('a clipped sum', () => {
  it('bounds each part and counts what is not finite as zero', () => {
    const sum = clippedSum(4, 1, 0);
    expect(sum.add([Float32Array.of(3, 0), Float32Array.of(0, 4)])).toBe(5);
    expect(sum.add([Float32Array.of(0.1, 0), Float32Array.of(0, 0)])).toBeCloseTo(0.1, 7);
    expect(sum.add([Float32Array.of(Number.NaN, 0), Float32Array.of(0, 0)])).toBeNaN();
    expect(sum.add([Float32Array.of(Infinity, 0), Float32Array.of(1, 0)])).toBe(Infinity);
    const [a, , , d] = sum.released(rng(1).uint32);
    expect([a, d].map((x) => +x!.toFixed(6))).toEqual([0.7, 0.8]);
  });

  const SOURCES = { seed: () => rng(3, 'noise').uint32, CSPRNG: secretWords };

  it.each(['seed', 'CSPRNG'] as const)(
    'gets noise of standard deviation z C, within 1 %%, from a %s',
    (from) => {
      const sum = clippedSum(SIZE, 0.25, 3);
      sum.add([new Float32Array(SIZE).fill(1)]);
      const released = sum.released(SOURCES[from]());
      const signal = 0.25 / Math.sqrt(SIZE);
      const variance = released.reduce((total, x) => total + (x - signal) ** 2, 0) / SIZE;
      expect(Math.abs(Math.sqrt(variance) / 0.75 - 1)).toBeLessThan(0.01);
    },
  );

  it('is on the grid of C / 2²⁴, whatever was added', () => {
    const sum = clippedSum(3, 0.5, 1);
    sum.add([Float32Array.of(0.1, 0.2, 0.3)]);
    for (const x of sum.released(rng(2).uint32)) expect(Number.isInteger((x * 2 ** 24) / 0.5)).toBe(true);
  });
});
