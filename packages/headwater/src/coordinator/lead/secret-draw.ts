/**
 * Secret coin flips: who is drawn follows from a key of the round and the owner's name, so that a coordinator that crashes draws the
 * same owners again, and nobody without the key can tell who was drawn.
 */

import { createHmac } from 'node:crypto';

/** Each of the owners whose HMAC-SHA256(key, name), read as a 64-bit number, is less than ⌊rate · 2⁶⁴⌋. */
export function drawnBy(key: Uint8Array, owners: readonly string[], rate: number): string[] {
  const below = BigInt(Math.floor(rate * 2 ** 53)) << 11n;
  return owners.filter((owner) => createHmac('sha256', key).update(owner).digest().readBigUInt64BE() < below);
}
