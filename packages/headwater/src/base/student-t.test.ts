import { expect, test } from 'vitest';
import { meanInterval, tQuantile } from './student-t.ts';

test('three values: mean, and t with two degrees of freedom times s / √3', () => {
  const { mean, halfWidth, count } = meanInterval([1, 2, 3])!;
  expect([mean, count]).toEqual([2, 3]);
  expect(halfWidth).toBeCloseTo(4.3027 / Math.sqrt(3), 10);
});

test('one value has no interval, none has nothing, equal ones have an interval of no width', () => {
  expect(meanInterval([5])).toEqual({ mean: 5, halfWidth: null, count: 1 });
  expect(meanInterval([])).toBeUndefined();
  expect(meanInterval([2, 2, 2])).toEqual({ mean: 2, halfWidth: 0, count: 3 });
});

test('quantiles fall from the table into the expansion without a step', () => {
  // Tables: 40 degrees 2.0211, 60: 2.0003, 120: 1.9799.
  for (const [degrees, value] of [
    [40, 2.0211],
    [60, 2.0003],
    [120, 1.9799],
  ] as const)
    expect(tQuantile(degrees)).toBeCloseTo(value, 2);
  for (let degrees = 1; degrees < 60; degrees++)
    expect(tQuantile(degrees + 1)).toBeLessThan(tQuantile(degrees));
});
