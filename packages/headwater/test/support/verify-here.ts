/** Ed25519 in the thread of the test: under a clock that stands still nothing may wait for other threads. */

import { createPublicKey, verify } from 'node:crypto';

const PUBLIC_PREFIX = Buffer.from('302a300506032b6570032100', 'hex');

export async function verifyHere(
  publicKey: Uint8Array,
  message: Uint8Array,
  signature: Uint8Array,
): Promise<boolean> {
  const spki = Buffer.concat([PUBLIC_PREFIX, publicKey]);
  return verify(null, message, createPublicKey({ key: spki, format: 'der', type: 'spki' }), signature);
}
