import { describe, expect, it } from 'vitest';
import { tensor } from '../base/tensor.ts';
import { EXACT_INTEGERS, type OwnNoise, ownSigma, stepSensitivity, TAIL, withOwnNoise } from './own-noise.ts';
import { exactFractionBits, ownNoiseMistakes } from './own-noise-needs.ts';
import { guaranteeFor, leastNoiseFor } from './privacy-ledger.ts';

const SIZE = 20_000;
const update = new Map([
  ['w', tensor('float32', [SIZE], new Float32Array(SIZE).fill(0.3 / Math.sqrt(SIZE)))],
]);
const noise = (more: Partial<OwnNoise>): OwnNoise => ({
  ...{ trust: 'local', noiseMultiplier: 0.5, leastShares: 4, fractionBits: 18, randomness: 'simulated' },
  ...more,
});

/** Of what was added, and whether all of it lies on the grid. */
function added(how: OwnNoise, owner: string) {
  const { data } = withOwnNoise(update, how, 0.3, [1, owner]).get('w')!;
  const before = update.get('w')!.data;
  const steps = 2 ** how.fractionBits;
  return {
    noise: Float64Array.from(data, (x, i) => x * steps - Math.round(before[i]! * steps)),
    isOnGrid: data.every((x) => Number.isInteger(x * steps)),
  };
}

const stdOf = (values: Float64Array) => Math.sqrt(values.reduce((sum, x) => sum + x * x, 0) / values.length);

describe('noise that clients add themselves', () => {
  it('local: has z s in each update, within what so many numbers can tell', () => {
    const expected = 0.5 * stepSensitivity(0.3, SIZE, 18);
    expect(Math.abs(stdOf(added(noise({}), 'ann').noise) / expected - 1)).toBeLessThan(
      5 / Math.sqrt(2 * SIZE),
    );
  });

  it('distributed: any so many parts have z s together, in whole numbers that float32 holds', () => {
    const how = noise({ trust: 'distributed' });
    const parts = ['ann', 'ben', 'cid', 'dan'].map((owner) => added(how, owner));
    expect(parts.every(({ isOnGrid }) => isOnGrid)).toBe(true);
    const sum = parts[0]!.noise.map((_, i) => parts.reduce((total, part) => total + part.noise[i]!, 0));
    const expected = 0.5 * stepSensitivity(0.3, SIZE, 18);
    expect(Math.abs(stdOf(sum) / expected - 1)).toBeLessThan(5 / Math.sqrt(2 * SIZE));
  });

  it('is another one for every owner, and never the same where it is secret', () => {
    expect(added(noise({}), 'ann').noise).toEqual(added(noise({}), 'ann').noise);
    expect(added(noise({}), 'ann').noise).not.toEqual(added(noise({}), 'ben').noise);
    const secret = noise({ randomness: 'secret' });
    expect(added(secret, 'ann').noise).not.toEqual(added(secret, 'ann').noise);
  });

  it('refuses a grid on which a part of the noise is not exact, whoever asks for it', () => {
    const refused = (more: Partial<OwnNoise>) =>
      expect(() => added(noise({ trust: 'distributed', ...more }), 'ann'));
    refused({ fractionBits: 26 }).toThrow('is not exact');
    refused({ fractionBits: 4, noiseMultiplier: 0.1 }).toThrow('is not exact');
  });

  it('a plan takes the finest grid that holds noise and update', () => {
    const tensors = [{ name: 'w', shape: [SIZE] }];
    const privacy = {
      trust: 'distributed',
      clipNorm: 0.3,
      noiseMultiplier: 0.5,
      maxParticipations: 1,
    } as const;
    const bits = exactFractionBits(privacy, tensors, 4);
    const reach = (fractionBits: number) =>
      stepSensitivity(0.3, SIZE, fractionBits) +
      TAIL * ownSigma(noise({ trust: 'distributed', fractionBits }), 0.3, SIZE);
    expect(reach(bits)).toBeLessThanOrEqual(EXACT_INTEGERS);
    expect(reach(bits + 1)).toBeGreaterThan(EXACT_INTEGERS);
    const facts = { privacy, tensors, quorum: 4, fractionBits: bits, range: 2, masked: true };
    expect(ownNoiseMistakes(facts)).toEqual([]);
    const mistakesOf = (change: object) => ownNoiseMistakes({ ...facts, ...change }).join(' ');
    expect(mistakesOf({ masked: false })).toContain('too little for the update alone');
    expect(mistakesOf({ fractionBits: bits + 1 })).toContain(`fractionBits to at most ${bits}`);
    expect(mistakesOf({ range: 0.5 })).toContain('past federation.fixedPoint.range');
    expect(mistakesOf({ privacy: { ...privacy, noiseMultiplier: 0 } })).toContain('above 0');
    expect(
      ownNoiseMistakes({ ...facts, range: 8, masked: false, privacy: { ...privacy, trust: 'local' } }),
    ).toEqual([]);
  });
});

describe('what own noise costs', () => {
  // Balle & Wang 2018, calibrated for a distance of 1; two updates of a client are at most 2 C apart.
  it.each([
    [1, 1e-5, 3.7306316348159],
    [1, 1e-6, 4.2246788893268],
    [0.1, 1e-5, 30.749566132],
    [8, 1e-5, 0.6002290722],
    [3, 1e-7, 1.6858597486],
    [0.5, 1e-4, 5.8937877907],
  ])('local: ε = %d at δ = %d takes 2 C · %d', (epsilon, delta, sigma) => {
    expect(guaranteeFor({ trust: 'local', noiseMultiplier: 2 * sigma }, delta, 1).epsilon).toBeCloseTo(
      epsilon,
      6,
    );
    const least = leastNoiseFor({ trust: 'local' }, { delta, targetEpsilon: epsilon }, 1);
    expect(Math.abs(least / (2 * sigma) - 1)).toBeLessThan(2e-3);
  });

  it('distributed: what Rényi divergence says of the Gaussian, which is a little more than its exact ε', () => {
    const [central, distributed] = ([{}, { trust: 'distributed' }] as const).map((trust) =>
      guaranteeFor({ ...trust, noiseMultiplier: 1 }, 1e-5, 3),
    );
    expect(distributed!.accountant).toBe('rdp');
    expect(distributed!.epsilon).toBe(central!.bounds.rdp.epsilon);
    expect(distributed!.epsilon).toBeGreaterThan(central!.epsilon);
  });
});
