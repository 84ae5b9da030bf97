/**
 * The params of a closed round, computed again from its members in integers of any size: an independent second opinion on
 * the product's sums, which must agree to the last bit.
 */

import { type Params, tensor } from '../src/base/tensor.ts';

export interface CountedUpdate {
  readonly weight: number;
  /** What the sum is divided by for it. */
  readonly freshWeight: number;
  readonly update: Params;
}

interface Scale {
  readonly fractionBits: number;
  readonly range: number;
}

/** params + η · Σ w q / (W 2^f), with q the nearest integer (half to even) of the clamped value times 2^f. */
export function exactRound(
  params: Params,
  updates: readonly CountedUpdate[],
  { fractionBits, range }: Scale,
  serverLearningRate: number,
): Params {
  const total = updates.reduce((sum, { freshWeight }) => sum + freshWeight, 0);
  const next = [...params].map(([name, before]): [string, typeof before] => {
    const data = Float32Array.from(before.data, (value, i) => {
      const sum = updates.reduce(
        (acc, { update, weight }) =>
          acc + BigInt(weight) * toInteger(update.get(name)!.data[i]!, fractionBits, range),
        0n,
      );
      const mean = Math.fround((Number(sum) / total) * 2 ** -fractionBits);
      return value + serverLearningRate * mean;
    });
    return [name, tensor('float32', before.shape, data)];
  });
  return new Map(next);
}

function toInteger(x: number, fractionBits: number, range: number): bigint {
  const scaled = Math.min(range, Math.max(-range, x)) * 2 ** fractionBits;
  const below = Math.floor(scaled);
  const rest = scaled - below;
  const up = rest > 0.5 || (rest === 0.5 && below % 2 !== 0);
  return BigInt(up ? below + 1 : below);
}
