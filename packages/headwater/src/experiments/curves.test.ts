import { expect, test } from 'vitest';
import { frontOf } from './curves.ts';

const points = [
  { arm: 'cheap', bytes: 1, value: 0.2 },
  { arm: 'beaten', bytes: 2, value: 0.1 },
  { arm: 'middle', bytes: 3, value: 0.5 },
  { arm: 'twin', bytes: 3, value: 0.4 },
  { arm: 'dear', bytes: 9, value: 0.5 },
];

test('the front holds what no other point beats or equals with fewer bytes', () => {
  expect(frontOf(points, true).map(({ arm }) => arm)).toEqual(['cheap', 'middle']);
});

test('for losses low is good', () => {
  expect(frontOf(points, false).map(({ arm }) => arm)).toEqual(['cheap', 'beaten']);
});
