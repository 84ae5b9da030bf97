/**
 * The noise that a client adds to its own clipped update before anything leaves it (trust: local, distributed): whole numbers on the
 * fixed-point grid of the sum. It knows no masks and no accountant.
 */

import { HeadwaterError } from '../base/errors.ts';
import { rng, type SeedPart } from '../base/random.ts';
import { type Params, sizeOf, type Tensor, tensor } from '../base/tensor.ts';
import { gaussianSource, type RandomWords } from '../privacy/gaussian.ts';
import { noiseShares } from '../privacy/noise-share.ts';
import { secretWords } from '../privacy/secret-words.ts';

/** What a client draws; plain data. */
export interface OwnNoise {
  /** `local`: all of it, whatever others do. `distributed`: a part of what the sum gets. */
  readonly trust: 'local' | 'distributed';
  /** z: of the update alone, or of the sum, in units of the sensitivity s. */
  readonly noiseMultiplier: number;
  /** distributed: fewest updates in a sum that is opened. */
  readonly leastShares: number;
  /** Of the grid. */
  readonly fractionBits: number;
  /** `simulated`: from the run's seed. `secret`: nobody can draw it again. */
  readonly randomness: 'simulated' | 'secret';
}

/** Largest whole number up to which float32 has all: what a client sends is the noisy integers themselves. */
export const EXACT_INTEGERS = 2 ** 24;

/** Fewest steps per standard deviation of one client's discrete noise: a sum of parts is then the discrete Gaussian to 10⁻²⁰⁰. */
export const LEAST_PART_STEPS = 8;

/** Of one client's noise and everything else it may reach: past this a Gaussian number comes once in 10³⁶. */
export const TAIL = 12;

/** s = C · 2^f + ½ √P, in steps of the grid: P coordinates were rounded to the nearest step. */
export function stepSensitivity(clipNorm: number, size: number, fractionBits: number): number {
  return clipNorm * 2 ** fractionBits + Math.sqrt(size) / 2;
}

/** Standard deviation of one client's noise, in steps. */
export function ownSigma(
  { trust, noiseMultiplier, leastShares, fractionBits }: Omit<OwnNoise, 'randomness'>,
  clipNorm: number,
  size: number,
): number {
  const sigma = noiseMultiplier * stepSensitivity(clipNorm, size, fractionBits);
  return trust === 'local' ? sigma : sigma / Math.sqrt(leastShares);
}

/**
 * round(2^f Δ) + noise, times 2^−f, as float32: local, round(N(0, (z s)²)); distributed, the discrete Gaussian of variance
 * (z s)² / leastShares. `update` is no longer than `clipNorm`.
 */
export function withOwnNoise(
  update: Params,
  noise: OwnNoise,
  clipNorm: number,
  seedPath: readonly SeedPart[],
): Params {
  const words = noise.randomness === 'secret' ? secretWords() : rng(...seedPath, 'privacy', 'own').uint32;
  const size = [...update.values()].reduce((sum, { shape }) => sum + sizeOf(shape), 0);
  checkGrid(noise, clipNorm, size);
  const draw = drawer(noise, stepSensitivity(clipNorm, size, noise.fractionBits), words);
  const steps = 2 ** noise.fractionBits;
  const noisy = [...update].map(([name, { shape, data }]): [string, Tensor<'float32'>] => {
    const drawn = draw(data.length);
    return [
      name,
      tensor(
        'float32',
        shape,
        data.map((x, i) => (Math.round(x * steps) + drawn[i]!) / steps),
      ),
    ];
  });
  return new Map(noisy);
}

/** Of a part of the noise; who leads the run chose the grid. Throws PRIVACY_INVALID. */
function checkGrid(noise: OwnNoise, clipNorm: number, size: number): void {
  if (noise.trust === 'local') return;
  const sigma = ownSigma(noise, clipNorm, size);
  const reach = stepSensitivity(clipNorm, size, noise.fractionBits) + TAIL * sigma;
  if (sigma >= LEAST_PART_STEPS && reach <= EXACT_INTEGERS) return;
  throw new HeadwaterError(
    'PRIVACY_INVALID',
    `a part of the noise with a standard deviation of ${sigma.toPrecision(3)} steps on a grid of 2^−${noise.fractionBits} is not exact`,
    { hint: 'The coordinator asks for a grid that its own plan would refuse.' },
  );
}

function drawer(
  { trust, noiseMultiplier, leastShares }: OwnNoise,
  sensitivity: number,
  words: RandomWords,
): (size: number) => Float64Array {
  const sigma = noiseMultiplier * sensitivity;
  if (trust === 'distributed') return (size) => noiseShares(size, { sigma, leastShares }, words);
  const normal = gaussianSource(words);
  return (size) => Float64Array.from({ length: size }, () => Math.round(sigma * normal()));
}
