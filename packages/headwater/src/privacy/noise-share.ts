/**
 * One client's part of the noise on a sum that nobody sees single parts of: whole numbers that the client adds to its update before it
 * is masked, such that the parts of any `leastShares` clients together have the variance that was promised. It knows no masks.
 */

import { discreteGaussian } from './discrete-gaussian.ts';
import type { RandomWords } from './gaussian.ts';

export interface NoiseShare {
  /** Standard deviation that the sum is to have, in steps of the integer grid. */
  readonly sigma: number;
  /** Fewest clients whose parts are in any sum that is opened. */
  readonly leastShares: number;
}

/** σ² of one client's part, rounded up: σ² / leastShares. */
export function shareVariance({ sigma, leastShares }: NoiseShare): number {
  return Math.ceil(sigma ** 2 / leastShares);
}

/** `size` independent discrete Gaussian numbers of variance σ² / leastShares. */
export function noiseShares(size: number, share: NoiseShare, words: RandomWords): Float64Array {
  const draw = discreteGaussian(shareVariance(share), words);
  return Float64Array.from({ length: size }, draw);
}
