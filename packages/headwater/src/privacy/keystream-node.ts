/**
 * Random words from a secret key: the AES-256 keystream in counter mode (NIST SP 800-38A). The same key gives the same words, so that
 * what was drawn once can be drawn again, and no other; who has no key cannot tell them from chance. Keys come from a CSPRNG.
 */

import { createCipheriv } from 'node:crypto';
import { assert } from '../base/errors.ts';
import type { RandomWords } from './gaussian.ts';

export const KEY_BYTES = 32;

/** Bytes of keystream made at once. */
const PIECE = 64 * 1024;
const ZEROS = new Uint8Array(PIECE);

/** `stream`: under one key others are independent. Words are little-endian. */
export function keystreamWords(key: Uint8Array, stream: number): RandomWords {
  assert(key.byteLength === KEY_BYTES, `a key of ${key.byteLength} bytes`);
  const counter = new Uint8Array(16);
  new DataView(counter.buffer).setUint32(0, stream);
  const cipher = createCipheriv('aes-256-ctr', key, counter);
  let piece = cipher.update(ZEROS);
  let at = 0;
  return () => {
    if (at === PIECE) {
      piece = cipher.update(ZEROS);
      at = 0;
    }
    const word = piece.readUInt32LE(at);
    at += 4;
    return word;
  };
}
