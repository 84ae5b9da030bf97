/** The vectors of `bench secagg`: words that look random, which clients and the check of their sum make from a key. */

import { addMask, addMasks } from '../privacy/secure-aggregation/mask-stream.ts';

export async function vectorOf(key: string, length: number): Promise<Uint32Array> {
  const words = new Uint32Array(length);
  await addMask(words, Buffer.from(key, 'hex'), 1);
  return words;
}

/** Modulo 2³². */
export async function sumOfVectors(keys: readonly string[], length: number): Promise<Uint32Array> {
  const sum = new Uint32Array(length);
  const masks = keys.map((key) => ({ key: Buffer.from(key, 'hex'), sign: 1 }) as const);
  await addMasks(sum, masks);
  return sum;
}
