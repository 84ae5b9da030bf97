import { expect, it } from 'vitest';
import { leastNoiseFor } from '../../federation/privacy-ledger.ts';
import { calibrateNoise } from '../../privacy/accounting/calibrate.ts';
import { epsilonLowerBound, guessesFrom } from '../../privacy/audit/one-run.ts';
import { clientCanaries, exampleCanaries } from './one-run.ts';

const run = { canaries: 1000, dimension: 8192, seed: 1 };
const delta = 1e-5;
const bound = (scored: ReturnType<typeof clientCanaries>) =>
  epsilonLowerBound({ ...guessesFrom(scored.scores, scored.isIn, 200), delta });

it('at ε = 2 a release refutes no ε above 2, and the same release without noise does', () => {
  const releases = [{ sampling: { kind: 'none' }, steps: 1 } as const];
  const { noiseMultiplier } = calibrateNoise({ releases, neighbours: 'zero-out', delta, targetEpsilon: 2 });
  // 95 % confidence: with the promise kept, one of twenty runs may say more; at 0.5 or so, none does.
  expect(bound(clientCanaries(run, { clipNorm: 0.5, noiseMultiplier }, 1))).toBeLessThan(2);
  expect(bound(clientCanaries(run, { clipNorm: 0.5, noiseMultiplier: 0 }, 1))).toBeGreaterThan(3);
});

it('so do steps on examples', () => {
  const steps = { clipNorm: 0.1, samplingRate: 0.5, steps: 4 };
  expect(bound(exampleCanaries(run, { ...steps, noiseMultiplier: 3 }))).toBeLessThan(3);
  expect(bound(exampleCanaries(run, { ...steps, noiseMultiplier: 0, samplingRate: 1 }))).toBeGreaterThan(3);
});

/** Mean score of the canaries that are in. */
function inside({ scores, isIn }: ReturnType<typeof clientCanaries>): number {
  const own = scores.filter((_, i) => isIn[i]);
  return own.reduce((sum, score) => sum + score, 0) / own.length;
}

it('so do trees of noise, where three nodes tell of an owner in the first of seven releases', () => {
  const tree = { leaves: 7 };
  const noiseMultiplier = leastNoiseFor({ tree }, { delta, targetEpsilon: 2 }, 1);
  const silent = { clipNorm: 0.5, noiseMultiplier: 0 };
  expect(bound(clientCanaries(run, { clipNorm: 0.5, noiseMultiplier, tree }, 1))).toBeLessThan(2);
  const without = clientCanaries(run, { ...silent, tree }, 1);
  expect(bound(without)).toBeGreaterThan(3);
  expect(inside(without) / inside(clientCanaries(run, silent, 1))).toBeCloseTo(3, 4);
});

it('canaries of secret cohorts are in a part of the releases', () => {
  const silent = { clipNorm: 0.5, noiseMultiplier: 0 };
  const drawn = clientCanaries(run, { ...silent, poisson: { rate: 0.25 } }, 8);
  expect(inside(drawn) / inside(clientCanaries(run, silent, 8))).toBeCloseTo(0.25, 1);
});
