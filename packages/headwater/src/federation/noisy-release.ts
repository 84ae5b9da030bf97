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
import type { Params } from '../base/tensor.ts';
import { nextClipNorm, noisyUnclippedShare, vectorNoiseMultiplier } from '../privacy/adaptive-clip.ts';
import { clipFactor, euclideanNorm } from '../privacy/clip.ts';
import { addRoundedGaussian, gaussianSource, type RandomWords } from '../privacy/gaussian.ts';
import type { ClientPrivacy, ReleaseReport } from './client-privacy.ts';
import type { FixedPointPlan, PartialSum, TensorScale } from './fixed-point.ts';
import { nodesOf } from './noise-tree.ts';

/** What an aggregation needs: `clipNorm` is that of the round. */
export interface NoisyRelease extends ClientPrivacy {
  /** m̄, the expected number of updates. */
  readonly denominator: number;
  readonly noise: NoiseSource;
  /** Of a tree: which of its releases this is. */
  readonly leaf?: number;
}

/**
 * Two independent streams, each the same whenever it is asked for. `secret`: of a key that is destroyed afterwards; `simulated`: whoever
 * has the seed can make them too.
 */
export interface NoiseSource {
  readonly kind: 'simulated' | 'secret';
  words(stream: 'sum' | 'count'): RandomWords;
  /** What earlier releases had from `words('sum')` and this one takes away again: nodes of a tree. Absent: nothing. */
  readonly removed?: readonly (() => RandomWords)[];
}

/** A grid on which the noise has at least so many steps per standard deviation hides its rounding. */
export const LEAST_NOISE_STEPS = 2 ** 10;

/** A client that clipped measured in another order, and may be off by less than this. */
const ROUNDING = 2 ** -20;

/** Where updates are clipped again before they are summed; undefined: nowhere, as those that have noise are as long as that is. */
export function serverClipNorm(
  release: Pick<NoisyRelease, 'clipNorm' | 'trust'> | undefined,
): number | undefined {
  return release?.trust === undefined ? release?.clipNorm : undefined;
}

/** What to multiply a decoded update by before it is summed: a sender may not have clipped it. */
export function serverClipFactor(norm: number, clipNorm: number, sum: PartialSum): number {
  const factor = clipFactor(norm, clipNorm);
  const counts = sum.clipping ?? { byServer: 0, atLimit: 0 };
  sum.clipping = {
    byServer: counts.byServer + (factor < 1 - ROUNDING ? 1 : 0),
    atLimit: counts.atLimit + (norm < clipNorm * (1 - ROUNDING) ? 0 : 1),
  };
  return factor;
}

/** A sum of nobody's updates: zeros, which get their noise like any other. In place. */
export function withZeros(
  sum: PartialSum,
  tensors: readonly { readonly name: string; readonly shape: readonly number[] }[],
): PartialSum {
  for (const { name, shape } of tensors)
    if (!sum.sums.has(name)) sum.sums.set(name, new Float64Array(numElements(shape)));
  return sum;
}

export function normOf(update: Params): number {
  return euclideanNorm([...update.values()].map(({ data }) => data));
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
  const { clipNorm, noiseMultiplier, denominator, noise, adaptive } = release;
  assert(sum.totalWeight === sum.numUpdates, 'a clipped sum has uniform weights');
  assert(
    release.poisson !== undefined || sum.numUpdates <= denominator,
    `${sum.numUpdates} updates, ${denominator} are the most`,
  );
  const scales = plan.tensors.filter(({ name }) => sum.sums.has(name));
  const sensitivity = sensitivityOf(scales, clipNorm);
  if (release.trust !== undefined) return alreadyNoisy(sum, release, sensitivity);
  const multiplier =
    adaptive === undefined ? noiseMultiplier : vectorNoiseMultiplier(noiseMultiplier, adaptive.countNoise);
  const norms = addNoise(sum, scales, multiplier * sensitivity, noise);
  sum.freshWeight = denominator;
  return {
    ...{ clipNorm, noiseMultiplier, denominator, sensitivity },
    noise: noise.kind,
    noiseStd: (multiplier * sensitivity * Math.sqrt(1 + (noise.removed?.length ?? 0))) / denominator,
    ...(release.leaf === undefined
      ? {}
      : { tree: { leaf: release.leaf, nodes: nodesOf(release.leaf).length } }),
    ...(noise.kind === 'secret' ? {} : { observed: observedIn(sum, norms, denominator) }),
    ...(adaptive === undefined ? {} : { nextClipNorm: adapted(sum, release) }),
  };
}

/** Clients added the noise: the sum is divided by what was promised, and that is all. */
function alreadyNoisy(sum: PartialSum, release: NoisyRelease, sensitivity: number): ReleaseReport {
  const { clipNorm, noiseMultiplier, denominator, noise, trust } = release;
  sum.freshWeight = denominator;
  const parts = trust === 'local' ? Math.sqrt(sum.numUpdates) : 1;
  return {
    ...{ clipNorm, noiseMultiplier, denominator, sensitivity, noise: noise.kind },
    noiseStd: (noiseMultiplier * sensitivity * parts) / denominator,
  };
}

/** Nothing of this was made private. */
function observedIn(
  { clipping }: PartialSum,
  { signal, added }: Norms,
  denominator: number,
): NonNullable<ReleaseReport['observed']> {
  return {
    signalNorm: signal / denominator,
    noiseNorm: added / denominator,
    clippedByServer: clipping?.byServer ?? 0,
  };
}

interface Norms {
  /** Of the sum before. */
  readonly signal: number;
  /** Of what was added. */
  readonly added: number;
}

/** `sigma` in units of the updates, 0: none. */
function addNoise(sum: PartialSum, scales: readonly TensorScale[], sigma: number, noise: NoiseSource): Norms {
  const normal = gaussianSource(noise.words('sum'));
  const removed = (noise.removed ?? []).map((words) => gaussianSource(words()));
  let [signal, added] = [0, 0];
  for (const { name, fractionBits } of scales) {
    const sums = sum.sums.get(name)!;
    const steps = 2 ** fractionBits;
    signal += (euclideanNorm([sums]) / steps) ** 2;
    if (sigma > 0) added += addRoundedGaussian(sums, sigma * steps, normal, removed) / steps ** 2;
  }
  return { signal: Math.sqrt(signal), added: Math.sqrt(added) };
}

/** Without noise on the sum there is none on the count either. */
function adapted(sum: PartialSum, release: NoisyRelease): number {
  const { clipNorm, noiseMultiplier, denominator, noise } = release;
  const rule = release.adaptive!;
  const clipped = sum.clipping?.atLimit ?? 0;
  const added = noiseMultiplier > 0 ? rule.countNoise * gaussianSource(noise.words('count'))() : 0;
  const counts = { unclipped: sum.numUpdates - clipped, clipped, noise: added };
  return nextClipNorm(clipNorm, noisyUnclippedShare(counts, denominator), rule);
}

function numElements(shape: readonly number[]): number {
  return shape.reduce((size, dim) => size * dim, 1);
}
