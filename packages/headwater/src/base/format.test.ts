import { expect, test } from 'vitest';
import { formatBytes, formatCount, formatDuration, significant } from './format.ts';

test.each([
  [0, '0 B'],
  [999, '999 B'],
  [1000, '1 kB'],
  [13_910_360, '13.9 MB'],
  [2.5e12, '2.5 TB'],
])('%d bytes are %s', (bytes, text) => expect(formatBytes(bytes)).toBe(text));

test.each([
  [400, '0.4 s'],
  [9_949, '9.9 s'],
  [9_951, '10 s'],
  [59_600, '1 min 0 s'],
  [200_000, '3 min 20 s'],
  [7_500_000, '2 h 5 min'],
])('%d ms are %s', (ms, text) => expect(formatDuration(ms)).toBe(text));

test.each([
  [0, '0'],
  [999, '999'],
  [1000, '1,000'],
  [1234567, '1,234,567'],
])('%d is counted as %s', (count, text) => expect(formatCount(count)).toBe(text));

test('three digits are kept', () =>
  expect([significant(0), significant(1234), significant(0.000123456)]).toEqual(['0', '1230', '0.000123']));
