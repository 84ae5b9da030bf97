/**
 * Seeded, splittable pseudo-random numbers. Every random choice of a run is `rng(seed, ...path)` with a path such as
 * `('sample-cohort', round)` or `(owner, round, 'dropout')`: never keys, clocks or arrival order.
 * NOT for privacy noise or keys (those come from the CSPRNG).
 *
 * Stream: SFC32 (Chris Doty-Humphrey, PractRand), keyed with the first 128 bits of SHA-256 over the canonical path.
 */

import { sha256 } from '@noble/hashes/sha2.js';
import { utf8ToBytes } from '@noble/hashes/utils.js';

export type SeedPart = string | number;

export interface Rng {
  /** A further stream, independent of this one and of how much of it was used. */
  split(...path: SeedPart[]): Rng;
  /** Uniform 32-bit unsigned integer. */
  uint32(): number;
  /** Uniform in [0, 1) with 53 random bits. */
  uniform(): number;
  /** Standard normal (Marsaglia polar method). */
  normal(): number;
  /** Uniform integer in [0, n), without modulo bias. */
  below(n: number): number;
}

export function rng(...path: SeedPart[]): Rng {
  const key = sha256(utf8ToBytes(JSON.stringify(path)));
  const view = new DataView(key.buffer, key.byteOffset, 16);
  let a = view.getUint32(0, true) | 0;
  let b = view.getUint32(4, true) | 0;
  let c = view.getUint32(8, true) | 0;
  let counter = view.getUint32(12, true) | 0;
  let spare: number | undefined;

  function uint32(): number {
    const t = (((a + b) | 0) + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (c << 21) | (c >>> 11);
    c = (c + t) | 0;
    return t >>> 0;
  }
  function uniform(): number {
    return ((uint32() >>> 5) * 67108864 + (uint32() >>> 6)) / 9007199254740992;
  }
  function normal(): number {
    if (spare !== undefined) {
      const value = spare;
      spare = undefined;
      return value;
    }
    for (;;) {
      const u = 2 * uniform() - 1;
      const v = 2 * uniform() - 1;
      const s = u * u + v * v;
      if (s > 0 && s < 1) {
        const scale = Math.sqrt((-2 * Math.log(s)) / s);
        spare = v * scale;
        return u * scale;
      }
    }
  }
  function below(n: number): number {
    const limit = 4294967296 - (4294967296 % n);
    for (;;) {
      const value = uint32();
      if (value < limit) return value % n;
    }
  }
  for (let i = 0; i < 12; i++) uint32();
  return { split: (...more) => rng(...path, ...more), uint32, uniform, normal, below };
}

/** Fisher–Yates; returns a new array. */
export function shuffled<T>(items: readonly T[], random: Rng): T[] {
  const result = [...items];
  for (let i = result.length - 1; i > 0; i--) {
    const j = random.below(i + 1);
    const swap = result[i] as T;
    result[i] = result[j] as T;
    result[j] = swap;
  }
  return result;
}

/** `count` distinct items in random order, without replacement. */
export function sampled<T>(items: readonly T[], count: number, random: Rng): T[] {
  return shuffled(items, random).slice(0, count);
}
