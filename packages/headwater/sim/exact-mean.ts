/**
 * The params of a closed round, computed again from its members in integers of any size: an independent second opinion on
 * the product's sums, which must agree to the last bit.
 */

import { type Params, tensor } from '../src/base/tensor.ts';
import type { IntegerNoise } from './exact-noise.ts';

export interface CountedUpdate {
  readonly weight: number;
  /** What the sum is divided by for it. */
  readonly freshWeight: number;
  readonly update: Params;
}

/** What makes a sum private. */
export interface ExactRelease {
  readonly clipNorm: number;
  /** What the sum is divided by, whoever came. */
  readonly denominator: number;
  readonly noise: IntegerNoise;
}

interface Scale {
  readonly fractionBits: number;
  readonly range: number;
}

/**
 * params + η · Σ w q / (W 2^f), with q the nearest integer (half to even) of the clamped value times 2^f. Of a release, values are
 * clipped before, noise is added to the sum, and W is fixed.
 */
export function exactRound(
  params: Params,
  updates: readonly CountedUpdate[],
  { fractionBits, range }: Scale,
  serverLearningRate: number,
  release?: ExactRelease,
): Params {
  const total = release?.denominator ?? updates.reduce((sum, { freshWeight }) => sum + freshWeight, 0);
  const factors = updates.map(({ update }) =>
    release === undefined ? 1 : clipped(update, release.clipNorm),
  );
  const next = [...params].map(([name, before]): [string, typeof before] => {
    const data = Float32Array.from(before.data, (value, i) => {
      const sum = updates.reduce(
        (acc, { update, weight }, of) =>
          acc + BigInt(weight) * toInteger(factors[of]! * update.get(name)!.data[i]!, fractionBits, range),
        release?.noise.get(name)?.[i] ?? 0n,
      );
      const mean = Math.fround((Number(sum) / total) * 2 ** -fractionBits);
      return value + serverLearningRate * mean;
    });
    return [name, tensor('float32', before.shape, data)];
  });
  return new Map(next);
}

/** min(1, C / ‖u‖₂) */
function clipped(update: Params, clipNorm: number): number {
  let squares = 0;
  for (const { data } of update.values()) for (const x of data) squares += x * x;
  return Math.min(1, clipNorm / Math.sqrt(squares));
}

function toInteger(x: number, fractionBits: number, range: number): bigint {
  const scaled = Math.min(range, Math.max(-range, x)) * 2 ** fractionBits;
  const below = Math.floor(scaled);
  const rest = scaled - below;
  const up = rest > 0.5 || (rest === 0.5 && below % 2 !== 0);
  return BigInt(up ? below + 1 : below);
}
