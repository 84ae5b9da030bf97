/** Keys from keys: HKDF with SHA-256 (RFC 5869), the same bytes in Node and in browsers. It keeps nothing. */

import { hkdf } from '@noble/hashes/hkdf.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { utf8ToBytes } from '@noble/hashes/utils.js';

export type Bytes = Uint8Array<ArrayBuffer>;

/** `info`: what the key is for. Other purposes and other salts give independent keys. */
export function hkdfSha256(secret: Uint8Array, salt: Uint8Array, info: string, length = 32): Bytes {
  return new Uint8Array(hkdf(sha256, secret, salt, utf8ToBytes(info), length));
}
