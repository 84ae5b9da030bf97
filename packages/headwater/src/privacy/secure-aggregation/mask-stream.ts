/**
 * Masks from a 256-bit key: the AES-256 keystream in counter mode (NIST SP 800-38A) from counter 0, read as little-endian
 * words of 32 bits. Any piece can be made without those before it, so that a mask needs no memory of its size and several
 * threads can share one. It does not know what is masked.
 */

import { assert } from '../../base/errors.ts';
import type { Bytes } from './hkdf.ts';
import { addFourWords, addWords, wordsOfBytes } from './words.ts';

export const MASK_KEY_BYTES = 32;

const BLOCK_BYTES = 16;
const WORDS_PER_BLOCK = 4;
/** Words made at once: 256 KiB, so that what is added stays in the processor's cache. */
const PIECE_WORDS = 2 ** 16;
/** Streams that are added in one pass. */
const TOGETHER = 4;
const ZEROS = new Uint8Array((PIECE_WORDS + WORDS_PER_BLOCK) * 4);

export interface MaskStream {
  /** Words `first`, `first` + 1 …, at most 2¹⁶. */
  words(first: number, count: number): Promise<Uint32Array>;
}

export async function openMaskStream(key: Uint8Array): Promise<MaskStream> {
  assert(key.byteLength === MASK_KEY_BYTES, `a mask key of ${key.byteLength} bytes`);
  const secret = await crypto.subtle.importKey('raw', new Uint8Array(key), 'AES-CTR', false, ['encrypt']);
  return {
    async words(first, count) {
      assert(count <= PIECE_WORDS, `${count} words at once`);
      const skipped = first % WORDS_PER_BLOCK;
      const algorithm = {
        name: 'AES-CTR',
        counter: counterAt((first - skipped) / WORDS_PER_BLOCK),
        length: 64,
      };
      const zeros = ZEROS.subarray(0, (skipped + count) * 4);
      const stream = await crypto.subtle.encrypt(algorithm, secret, zeros);
      return wordsOfBytes(new Uint8Array(stream)).subarray(skipped);
    },
  };
}

function counterAt(block: number): Bytes {
  const counter = new Uint8Array(BLOCK_BYTES);
  new DataView(counter.buffer).setBigUint64(8, BigInt(block));
  return counter;
}

/** sign · PRG(key), modulo 2³². */
export interface MaskTerm {
  readonly key: Uint8Array;
  readonly sign: 1 | -1;
}

/** target += sign · PRG(key)[first …], modulo 2³², in place. `first`: where in the whole vector `target` begins. */
export function addMask(target: Uint32Array, key: Uint8Array, sign: 1 | -1, first = 0): Promise<void> {
  return addMasks(target, [{ key, sign }], first);
}

/** target −= Σ sign · PRG(key)[first …]: what `addMasks` added. */
export function removeMasks(target: Uint32Array, masks: readonly MaskTerm[], first = 0): Promise<void> {
  const taken = masks.map(({ key, sign }): MaskTerm => ({ key, sign: sign === 1 ? -1 : 1 }));
  return addMasks(target, taken, first);
}

/**
 * target += Σ sign · PRG(key)[first …], modulo 2³², in place, a piece at a time: while one batch of streams is added the next one is
 * made. Memory: eight pieces beside the target, whatever the number of masks.
 */
export async function addMasks(target: Uint32Array, masks: readonly MaskTerm[], first = 0): Promise<void> {
  const batches = await Promise.all(([1, -1] as const).flatMap((sign) => batchesOf(masks, sign)));
  const makings: { readonly at: number; readonly batch: Batch }[] = [];
  for (let at = 0; at < target.length; at += PIECE_WORDS)
    for (const batch of batches) makings.push({ at, batch });
  const make = ({ at, batch }: (typeof makings)[number]) =>
    Promise.all(
      batch.streams.map((stream) => stream.words(first + at, Math.min(PIECE_WORDS, target.length - at))),
    );
  let next = makings.length > 0 ? make(makings[0]!) : undefined;
  for (const [i, { at, batch }] of makings.entries()) {
    const pieces = await next!;
    next = i + 1 < makings.length ? make(makings[i + 1]!) : undefined;
    addTogether(target, pieces, batch.sign, at);
  }
}

interface Batch {
  readonly sign: 1 | -1;
  readonly streams: readonly MaskStream[];
}

function batchesOf(masks: readonly MaskTerm[], sign: 1 | -1): Promise<Batch>[] {
  const keys = masks.filter((mask) => mask.sign === sign).map(({ key }) => key);
  const starts = Array.from({ length: Math.ceil(keys.length / TOGETHER) }, (_, i) => i * TOGETHER);
  return starts.map(async (start) => {
    const streams = await Promise.all(keys.slice(start, start + TOGETHER).map(openMaskStream));
    return { sign, streams };
  });
}

function addTogether(target: Uint32Array, pieces: readonly Uint32Array[], sign: 1 | -1, at: number): void {
  if (pieces.length < TOGETHER) for (const piece of pieces) addWords(target, piece, sign, at);
  else addFourWords(target, pieces, sign, at);
}
