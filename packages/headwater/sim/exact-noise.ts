/**
 * The noise of a release, drawn again from the keys of the secret table in integers of any size. Of a tree it is the difference of two
 * prefix sums, each with the nodes of its own binary decomposition: a second way to what the product does node by node.
 */

import type { TensorScale } from '../src/federation/fixed-point.ts';
import { gaussianSource } from '../src/privacy/gaussian.ts';
import { keystreamWords } from '../src/privacy/keystream-node.ts';

export type IntegerNoise = ReadonlyMap<string, readonly bigint[]>;

/** `leaf`: of its tree, from 1; undefined: each release has noise of its own. Undefined where a key is not known. */
export function releaseNoise(
  keyOf: (round: number) => Uint8Array | undefined,
  { round, leaf }: { readonly round: number; readonly leaf: number | undefined },
  tensors: readonly TensorScale[],
  sigma: number,
): IntegerNoise | undefined {
  const added = leaf === undefined ? [round] : leavesOf(leaf).map((end) => round - leaf + end);
  const before = leaf === undefined ? [] : leavesOf(leaf - 1).map((end) => round - leaf + end);
  const noise = new Map(tensors.map(({ name, shape }) => [name, Array<bigint>(sizeOf(shape)).fill(0n)]));
  for (const [rounds, sign] of [
    [added, 1n],
    [before, -1n],
  ] as const)
    for (const of of rounds) {
      const key = keyOf(of);
      if (key === undefined) return undefined;
      addNode(noise, key, tensors, sigma, sign);
    }
  return noise;
}

/** Last leaves of the nodes that make up the first `count` leaves: the set bits of `count`, the largest first. */
export function leavesOf(count: number): number[] {
  const ends: number[] = [];
  let end = 0;
  for (let bit = 2 ** 20; bit >= 1; bit /= 2)
    if (Math.floor(count / bit) % 2 === 1) {
      end += bit;
      ends.push(end);
    }
  return ends;
}

/** ± round(σ 2^f g) for standard normals g of the key’s stream. */
function addNode(
  noise: ReadonlyMap<string, bigint[]>,
  key: Uint8Array,
  tensors: readonly TensorScale[],
  sigma: number,
  sign: bigint,
): void {
  const normal = gaussianSource(keystreamWords(key, 0));
  for (const { name, fractionBits } of tensors) {
    const values = noise.get(name)!;
    for (let i = 0; i < values.length; i++)
      values[i]! += sign * BigInt(Math.round(sigma * 2 ** fractionBits * normal()));
  }
}

function sizeOf(shape: readonly number[]): number {
  return shape.reduce((size, dim) => size * dim, 1);
}
