/**
 * Random directions z(seed) over named tensors that everybody can make again, bit for bit, from 64 bits: E[z] = 0,
 * E[z zᵀ] = I. Integers and one rounded product make them, no logarithm or cosine of a platform. It knows no losses.
 */

import { sha256 } from '@noble/hashes/sha2.js';
import { utf8ToBytes } from '@noble/hashes/utils.js';
import { z } from 'zod';
import { philox } from '../base/philox.ts';
import type { Rng } from '../base/random.ts';

/** Two unsigned 32-bit integers. */
export type DirectionSeed = readonly [number, number];

/**
 * `normal`: the sum of four random bytes, centred and divided by √21845 (Irwin–Hall: variance 1, kurtosis 2.7, within ±3.46);
 * `signs`: ±1 (Rademacher), thirty times cheaper and of the least variance.
 */
export const distribution = z
  .enum(['normal', 'signs'])
  .default('normal')
  .describe('Random directions: nearly normal values, or ±1, which are much cheaper to make.');

export type Distribution = z.infer<typeof distribution>;

export function drawSeed(random: Rng): DirectionSeed {
  return [random.uint32(), random.uint32()];
}

/** Values in one chunk; a multiple of 128, the signs in four words. */
const CHUNK = 4096;

/**
 * z for one tensor in order, as chunks that are overwritten by the next: element i is made of the block ⌊i / 4⌋ (signs:
 * ⌊i / 128⌋) of Philox with the key `seed` and the counter (block, 0, first 64 bits of SHA-256 of the name).
 */
export function eachDirectionChunk(
  seed: DirectionSeed,
  name: string,
  length: number,
  kind: Distribution,
  visit: (chunk: Float32Array, begin: number) => void,
): void {
  const [high, low] = streamOf(name);
  const perBlock = kind === 'signs' ? 128 : 4;
  const words = new Uint32Array((4 * CHUNK) / perBlock);
  const values = new Float32Array(CHUNK);
  for (let begin = 0; begin < length; begin += CHUNK) {
    const count = Math.min(CHUNK, length - begin);
    const blocks = Math.ceil(count / perBlock);
    for (let b = 0; b < blocks; b++) philox(words, 4 * b, [begin / perBlock + b, 0, high, low], seed);
    if (kind === 'signs') fillSigns(values, words, count);
    else fillNormals(values, words, count);
    visit(count === CHUNK ? values : values.subarray(0, count), begin);
  }
}

/** target ← target + scale · z, in the target's precision. */
export function addDirection(
  target: Float32Array | Float64Array,
  scale: number,
  seed: DirectionSeed,
  name: string,
  kind: Distribution,
): void {
  eachDirectionChunk(seed, name, target.length, kind, (chunk, begin) => {
    for (let i = 0; i < chunk.length; i++) target[begin + i]! += scale * chunk[i]!;
  });
}

/** Four bytes are 0 … 1020 with mean 510 and variance 4 · (256² − 1) / 12 = 21845. */
const UNIT = 1 / Math.sqrt(21845);

function fillNormals(out: Float32Array, words: Uint32Array, count: number): void {
  for (let i = 0; i < count; i++) {
    const w = words[i]!;
    out[i] = UNIT * ((w & 255) + ((w >>> 8) & 255) + ((w >>> 16) & 255) + (w >>> 24) - 510);
  }
}

/** Bit i of the words, lowest first; 1 is +1. */
function fillSigns(out: Float32Array, words: Uint32Array, count: number): void {
  for (let i = 0; i < count; i++) out[i] = (words[i >>> 5]! >>> (i & 31)) & 1 ? 1 : -1;
}

const streams = new Map<string, readonly [number, number]>();

function streamOf(name: string): readonly [number, number] {
  const known = streams.get(name);
  if (known !== undefined) return known;
  const view = new DataView(sha256(utf8ToBytes(name)).buffer);
  const made = [view.getUint32(0, true), view.getUint32(4, true)] as const;
  streams.set(name, made);
  return made;
}
