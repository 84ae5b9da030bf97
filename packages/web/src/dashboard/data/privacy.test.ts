import { expect, test } from 'vitest';
import { maskedSentences, privacySpent } from './privacy.ts';

const row = { delta: 1e-5, epsilon: 0.81201, mostEpsilon: 2.0049, releases: 3, statement: null };

test('says what is spent of what an owner can spend, rounded upwards', () => {
  expect(privacySpent(row)).toBe(
    'ε = 0.813 of at most 2.01 for any owner is spent after 3 releases, at δ = 0.00001.',
  );
  expect(privacySpent({ ...row, epsilon: 12.34, mostEpsilon: null, releases: 1 })).toBe(
    'ε = 12.4 is spent after 1 release, at δ = 0.00001.',
  );
});

test('before the first release nothing is spent; where nothing is claimed nothing is said', () => {
  expect(privacySpent({ ...row, epsilon: null, releases: 0 })).toBe(
    'Nothing was released yet: ε = 0 of at most 2.01 for any owner, at δ = 0.00001.',
  );
  expect(privacySpent({ ...row, epsilon: null, mostEpsilon: null })).toBeUndefined();
  expect(privacySpent({ ...row, delta: null })).toBeUndefined();
});

test('what masks hide: the first sentence by itself', () => {
  expect(
    maskedSentences('Secure aggregation: what was sent was masked. The helper opened it. More.'),
  ).toEqual(['What was sent was masked.', 'The helper opened it. More.']);
  expect(maskedSentences('SIMULATED secure aggregation: nothing was hidden.')).toEqual([
    'SIMULATED secure aggregation: nothing was hidden.',
    '',
  ]);
});
