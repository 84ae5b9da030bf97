/** SHA-256 in pieces and as a header: the portable implementation, for browsers and the fault simulation. */

import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex } from '@noble/hashes/utils.js';
import type { Hasher } from './ports.ts';

export function portableHasher(): Hasher {
  const hash = sha256.create();
  return {
    update: (bytes) => void hash.update(bytes),
    hex: () => bytesToHex(hash.digest()),
  };
}

export function digestOf(hasher: () => Hasher, bytes: Uint8Array): string {
  const hash = hasher();
  hash.update(bytes);
  return hash.hex();
}
