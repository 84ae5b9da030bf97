/**
 * Masks from a 256-bit key: the AES-256 keystream in counter mode (NIST SP 800-38A) from counter 0, read as little-endian
 * words of 32 bits. Any piece can be made without those before it, so that a mask needs no memory of its size and several
 * threads can share one. It does not know what is masked.
 */

import { assert } from '../../base/errors.ts';
import type { Bytes } from './hkdf.ts';
import { addWords, wordsOfBytes } from './words.ts';

export const MASK_KEY_BYTES = 32;

const BLOCK_BYTES = 16;
const WORDS_PER_BLOCK = 4;
/** Words made at once: 1 MiB. */
const PIECE_WORDS = 2 ** 18;
const ZEROS = new Uint8Array((PIECE_WORDS + WORDS_PER_BLOCK) * 4);

export interface MaskStream {
  /** Words `first`, `first` + 1 …, at most 2¹⁸. */
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

/**
 * target += sign · PRG(key)[first …], modulo 2³², in place: one piece is made while the one before it is added.
 * `first`: where in the whole vector `target` begins.
 */
export async function addMask(target: Uint32Array, key: Uint8Array, sign: 1 | -1, first = 0): Promise<void> {
  const stream = await openMaskStream(key);
  const make = (at: number) => stream.words(first + at, Math.min(PIECE_WORDS, target.length - at));
  let next = target.length > 0 ? make(0) : undefined;
  for (let at = 0; next !== undefined; at += PIECE_WORDS) {
    const piece = await next;
    next = at + PIECE_WORDS < target.length ? make(at + PIECE_WORDS) : undefined;
    addWords(target, piece, sign, at);
  }
}
