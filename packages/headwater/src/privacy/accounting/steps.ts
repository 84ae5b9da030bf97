/**
 * What is accounted: noisy releases, how each chose its records, and which data sets count as neighbours. Refuses combinations for
 * which no bound is proven. Knows no formula.
 */

import { HeadwaterError } from '../../base/errors.ts';

/**
 * Two data sets are neighbours when one has a record more (`add-remove`), has another record in the place of one (`replace-one`), or
 * has an empty contribution in the place of one (`zero-out`). A record is a client or an example.
 */
export const NEIGHBOURS = ['add-remove', 'replace-one', 'zero-out'] as const;
export type Neighbours = (typeof NEIGHBOURS)[number];

/**
 * How the records of a release are chosen, secret from whoever the guarantee is against: `poisson`, each independently with
 * probability `rate`; `fixed-size`, so many of so many without replacement; `none`, all of them or in any way at all.
 */
export type Sampling =
  | { readonly kind: 'poisson'; readonly rate: number }
  | { readonly kind: 'fixed-size'; readonly size: number; readonly population: number }
  | { readonly kind: 'none' };

/**
 * `steps` releases of a sum to which each record adds a vector of L2 norm at most s, each with noise N(0, (noiseMultiplier · s)² I).
 * s is the clip norm, more where updates are rounded after clipping.
 */
export interface PrivacySteps {
  readonly sampling: Sampling;
  readonly noiseMultiplier: number;
  readonly steps: number;
}

/** How far one neighbour's sum can be from the other's, in units of s: one contribution, or one away and another in its place. */
export function sensitivity(neighbours: Neighbours): number {
  return neighbours === 'replace-one' ? 2 : 1;
}

/** Throws PRIVACY_INVALID when a number is out of range or a bound is not proven for the combination. */
export function checkSteps(releases: readonly PrivacySteps[], neighbours: Neighbours): void {
  for (const { sampling, noiseMultiplier, steps } of releases) {
    checkSampling(sampling, neighbours);
    demand(noiseMultiplier >= 0, `the noise multiplier is ${noiseMultiplier}; it is a number ≥ 0`);
    demand(Number.isSafeInteger(steps) && steps >= 0, `${steps} steps; it is a whole number ≥ 0`);
  }
}

/** Throws PRIVACY_INVALID unless 0 < δ < 1 and, with a known population, δ ≤ 1/population. */
export function checkDelta(delta: number, population?: number): void {
  demand(delta > 0 && delta < 1, `delta is ${delta}; it is a probability between 0 and 1`);
  if (population === undefined) return;
  demand(
    delta <= 1 / population,
    `delta is ${delta}, more than 1 in ${population}, the number of records: publishing one record as it is would count as private`,
    `Choose delta below ${1 / population}.`,
  );
}

function checkSampling(sampling: Sampling, neighbours: Neighbours): void {
  if (sampling.kind === 'poisson') {
    const { rate } = sampling;
    demand(rate >= 0 && rate <= 1, `the sampling rate is ${rate}; it is a probability between 0 and 1`);
    demand(
      neighbours === 'add-remove',
      `Poisson sampling with ${neighbours} neighbours: the bounds of both accountants are proven for add-remove only`,
      `Use add-remove neighbours, or account without sampling: that is valid for ${neighbours}.`,
    );
  }
  if (sampling.kind === 'fixed-size') {
    const { size, population } = sampling;
    demand(
      Number.isSafeInteger(size) && Number.isSafeInteger(population) && size >= 0 && size <= population,
      `samples of ${size} of ${population}; both are whole numbers, the sample is not larger than the population`,
    );
    demand(
      neighbours === 'replace-one',
      `samples of fixed size with ${neighbours} neighbours: the bound (Wang, Balle, Kasiviswanathan) is proven for replace-one only, where both data sets have the same size`,
      `Use replace-one neighbours, Poisson sampling with add-remove, or account without sampling.`,
    );
  }
}

function demand(holds: boolean, message: string, hint?: string): asserts holds {
  if (!holds) throw new HeadwaterError('PRIVACY_INVALID', `${message}.`, hint === undefined ? {} : { hint });
}
