/** The vectors of `bench secagg`: words that look random, which clients and the check of their sum make from a key. */

import { addMask } from '../privacy/secure-aggregation/mask-stream.ts';

export async function vectorOf(key: string, length: number): Promise<Uint32Array> {
  const words = new Uint32Array(length);
  await addMask(words, Buffer.from(key, 'hex'), 1);
  return words;
}

/** Modulo 2³². */
export async function sumOfVectors(keys: readonly string[], length: number): Promise<Uint32Array> {
  const sum = new Uint32Array(length);
  for (const key of keys) await addMask(sum, Buffer.from(key, 'hex'), 1);
  return sum;
}
