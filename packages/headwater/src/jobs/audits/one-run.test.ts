import { expect, it } from 'vitest';
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
