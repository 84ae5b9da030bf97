/**
 * Central differential privacy of a round, at the level of a client (McMahan et al. 2018, "Learning differentially private
 * recurrent language models"): what leaves the server is
 *
 *   g = (Σ_i clip_C(Δ_i) + N(0, (z·s)² I)) / m̄
 *
 * with uniform weights, the concatenated tensors of an update clipped to ‖Δ‖₂ ≤ C, and a fixed m̄: who drops out adds
 * nothing and takes no noise away. The sum is one of integers (`fixed-point.ts`), where one client changes it by at most
 * s = C + ½ √(Σ_t d_t 4^(−f_t)), the second term being the rounding of d_t coordinates to f_t bits. It knows no accountant.
 */

import { assert } from '../base/errors.ts';
import { rng, type SeedPart } from '../base/random.ts';
import type { Params } from '../base/tensor.ts';
import { clipFactor, euclideanNorm } from '../privacy/clip.ts';
import { addRoundedGaussian, gaussianSource } from '../privacy/gaussian.ts';
import type { ClientPrivacy, ReleaseReport } from './client-privacy.ts';
import type { FixedPointPlan, PartialSum, TensorScale } from './fixed-point.ts';

/** What an aggregation needs. */
export interface NoisyRelease extends ClientPrivacy {
  /** m̄, the expected number of updates. */
  readonly denominator: number;
  /** Seeded noise is for simulations: whoever has the recipe can take it away again. */
  readonly noise: { readonly kind: 'simulated'; readonly seedPath: readonly SeedPart[] };
}

/** A grid on which the noise has at least so many steps per standard deviation hides its rounding. */
export const LEAST_NOISE_STEPS = 2 ** 10;

/** What to multiply a decoded update by before it is summed: a sender may not have clipped it. */
export function serverClipFactor(update: Params, clipNorm: number): number {
  return clipFactor(euclideanNorm([...update.values()].map(({ data }) => data)), clipNorm);
}

/** A client that clipped measured in another order, and may be off by less than this. */
const ROUNDING = 2 ** -20;

export function countClipped(sum: PartialSum, factor: number): void {
  if (factor < 1 - ROUNDING) sum.clippedByServer = (sum.clippedByServer ?? 0) + 1;
}

/** `scales`: of the tensors that travel in the round. */
export function sensitivityOf(scales: readonly TensorScale[], clipNorm: number): number {
  const squares = scales.reduce(
    (sum, { shape, fractionBits }) => sum + numElements(shape) * 4 ** -fractionBits,
    0,
  );
  return clipNorm + Math.sqrt(squares) / 2;
}

/** Adds the noise to `sum` and fixes what it will be divided by, both in place. */
export function addReleaseNoise(plan: FixedPointPlan, sum: PartialSum, release: NoisyRelease): ReleaseReport {
  const { clipNorm, noiseMultiplier, denominator, noise } = release;
  assert(sum.totalWeight === sum.numUpdates, 'a clipped sum has uniform weights');
  assert(sum.numUpdates <= denominator, `${sum.numUpdates} updates, ${denominator} are the most`);
  const scales = plan.tensors.filter(({ name }) => sum.sums.has(name));
  const sensitivity = sensitivityOf(scales, clipNorm);
  const normal = gaussianSource(rng(...noise.seedPath).uint32);
  let [signal, added] = [0, 0];
  for (const scale of scales) {
    const sums = sum.sums.get(scale.name)!;
    const steps = 2 ** scale.fractionBits;
    signal += (euclideanNorm([sums]) / steps) ** 2;
    if (noiseMultiplier > 0)
      added += addRoundedGaussian(sums, noiseMultiplier * sensitivity * steps, normal) / steps ** 2;
  }
  sum.freshWeight = denominator;
  return {
    ...{ clipNorm, noiseMultiplier, denominator, sensitivity },
    noise: noise.kind,
    noiseStd: (noiseMultiplier * sensitivity) / denominator,
    signalNorm: Math.sqrt(signal) / denominator,
    noiseNorm: Math.sqrt(added) / denominator,
    clippedByServer: sum.clippedByServer ?? 0,
  };
}

function numElements(shape: readonly number[]): number {
  return shape.reduce((size, dim) => size * dim, 1);
}
