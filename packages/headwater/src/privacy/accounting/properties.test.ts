import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type PrivacyQuestion, privacyGuarantee } from './account.ts';
import { prvEpsilon } from './prv.ts';
import { epsilonOfRdp, ORDERS } from './rdp.ts';
import { sampledGaussianRdp } from './sampled-gaussian-rdp.ts';
import type { PrivacySteps } from './steps.ts';

interface Release {
  readonly q: number;
  readonly sigma: number;
  readonly steps: number;
}

function poisson({ q, sigma, steps }: Release): PrivacySteps {
  return { sampling: { kind: 'poisson', rate: q }, noiseMultiplier: sigma, steps };
}

function question(releases: readonly PrivacySteps[], delta: number): PrivacyQuestion {
  return { releases, neighbours: 'add-remove', delta };
}

describe('as a property', () => {
  const rate = fc.double({ min: -7, max: 0, noNaN: true }).map((exponent) => 10 ** exponent);
  const noise = fc.double({ min: -0.7, max: 2, noNaN: true }).map((exponent) => 10 ** exponent);
  const steps = fc.integer({ min: 1, max: 2000 });
  const delta = fc.double({ min: -9, max: -2, noNaN: true }).map((exponent) => 10 ** exponent);
  const more = fc.double({ min: 1, max: 3, noNaN: true });

  const monotone = (
    epsilonOf: (q: number, sigma: number, steps: number, delta: number) => number,
    runs: number,
  ) =>
    fc.assert(
      fc.property(rate, noise, steps, delta, more, (q, sigma, count, d, k) => {
        const here = epsilonOf(q, sigma, count, d);
        const atLeast = here * (1 - 1e-5) - 1e-5;
        expect(epsilonOf(Math.min(1, q * k), sigma, count, d)).toBeGreaterThanOrEqual(atLeast);
        expect(epsilonOf(q, sigma / k, count, d)).toBeGreaterThanOrEqual(atLeast);
        expect(epsilonOf(q, sigma, Math.ceil(count * k), d)).toBeGreaterThanOrEqual(atLeast);
        expect(epsilonOf(q, sigma, count, d / k)).toBeGreaterThanOrEqual(atLeast);
      }),
      { numRuns: runs, seed: 7 },
    );

  test('ε by Rényi divergence rises with rate, steps and 1/σ, falls with δ', () => {
    monotone((q, sigma, count, d) => {
      const rdp = sampledGaussianRdp(q, sigma, ORDERS).map((one) => one * count);
      return epsilonOfRdp(rdp, d).epsilon;
    }, 100);
  });

  test('so does the guarantee', () => {
    const few = (q: number, sigma: number, count: number, d: number) => {
      const release = poisson({
        q: Math.max(q, 0.01),
        sigma: Math.max(sigma, 0.8),
        steps: Math.ceil(count / 400),
      });
      return privacyGuarantee(question([release], d)).epsilon;
    };
    monotone(few, 8);
  });

  test('ln A is convex in the order: every fraction lies below its chord and above the order before', () => {
    fc.assert(
      fc.property(rate, noise, fc.integer({ min: 12, max: 99 }), (q, sigma, tenths) => {
        const order = 1 + tenths / 10;
        if (Number.isInteger(order)) return;
        const [below, above] = [Math.floor(order), Math.ceil(order)];
        const [low, here, high] = sampledGaussianRdp(q, sigma, [below, order, above]);
        const chord = (above - order) * (below - 1) * low! + (order - below) * (above - 1) * high!;
        expect(here! * (order - 1)).toBeLessThanOrEqual(chord * (1 + 1e-9));
        expect(here!).toBeGreaterThanOrEqual(low! * (1 - 1e-9));
      }),
      { numRuns: 200, seed: 7 },
    );
  });

  test('no NaN at the ends of the number line', () => {
    const ends = [Number.MIN_VALUE, 1e-100, 1e-8, 0.01, 0.5, 1 - 2 ** -53, 1];
    const noises = [0, Number.MIN_VALUE, 1e-100, 1e-3, 0.1, 1, 1e3, 1e100, Number.MAX_VALUE];
    for (const q of ends)
      for (const sigma of noises)
        for (const count of [1, Number.MAX_SAFE_INTEGER])
          for (const d of [Number.MIN_VALUE, 1e-5, 1 - 2 ** -53]) {
            const release = poisson({ q, sigma, steps: count });
            const { epsilon } = privacyGuarantee({
              ...question([release], d),
              accountants: ['rdp', 'gaussian'],
            });
            expect(epsilon, `${q} ${sigma} ${count} ${d}`).toBeGreaterThanOrEqual(0);
          }
    for (const q of [1e-100, 1e-8, 1 - 2 ** -53])
      for (const sigma of [1e-3, 0.3, 1e3, 1e100])
        for (const d of [1e-300, 0.5]) {
          const found = prvEpsilon([{ rate: q, sigma, steps: 1 }], d);
          if (found === undefined) continue;
          expect(found.lower, `${q} ${sigma} ${d}`).toBeGreaterThanOrEqual(0);
          expect(found.upper).toBeGreaterThanOrEqual(found.lower);
        }
  });
});
