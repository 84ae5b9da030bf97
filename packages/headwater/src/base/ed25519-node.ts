/** Ed25519 with raw keys, by Node's own OpenSSL. It keeps no keys. */

import { createPrivateKey, createPublicKey, type KeyObject, sign, verify } from 'node:crypto';

/** DER of a private key (RFC 8410) up to its 32 bytes. */
const PRIVATE_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex');
const PUBLIC_PREFIX = Buffer.from('302a300506032b6570032100', 'hex');

interface KeyPair {
  readonly publicKey: Uint8Array;
  sign(message: Uint8Array): Promise<Uint8Array>;
}

/** `seed`: the 32 secret bytes. */
export function ed25519FromSeed(seed: Uint8Array): KeyPair {
  const key = createPrivateKey({ key: Buffer.concat([PRIVATE_PREFIX, seed]), format: 'der', type: 'pkcs8' });
  const spki = createPublicKey(key).export({ format: 'der', type: 'spki' });
  return {
    publicKey: new Uint8Array(spki.subarray(PUBLIC_PREFIX.length)),
    sign: async (message) => new Uint8Array(sign(null, message, key)),
  };
}

/** In another thread: whoever answers thousands has more to do than arithmetic. */
export function ed25519Verify(
  publicKey: Uint8Array,
  message: Uint8Array,
  signature: Uint8Array,
): Promise<boolean> {
  return new Promise((resolve, reject) =>
    verify(null, message, keyOf(publicKey), signature, (error, valid) =>
      error === null ? resolve(valid) : reject(error),
    ),
  );
}

/** Reading a key costs as much as using it: the latest ones are kept. */
const known = new Map<string, KeyObject>();
const MAX_KNOWN = 20_000;

function keyOf(publicKey: Uint8Array): KeyObject {
  const name = Buffer.from(publicKey).toString('latin1');
  const found = known.get(name);
  if (found !== undefined) return found;
  const key = createPublicKey({
    key: Buffer.concat([PUBLIC_PREFIX, publicKey]),
    format: 'der',
    type: 'spki',
  });
  if (known.size >= MAX_KNOWN) known.delete(known.keys().next().value!);
  known.set(name, key);
  return key;
}
