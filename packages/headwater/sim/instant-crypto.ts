/**
 * WebCrypto as a simulation needs it: the same interface for AES, answered at once instead of by another thread, so that nothing
 * waits outside of virtual time; in place of X25519 an agreement that costs nothing and hides nothing.
 */

import { createCipheriv, createDecipheriv } from 'node:crypto';

interface Key {
  readonly bytes: Uint8Array;
}

const TAG_BYTES = 16;
/** Of the stand-in for X25519: the public key is 9 · secret, what two have in common the product of all three. */
const PRIME = 2n ** 255n - 19n;

const methods = {
  async importKey(_format: string, bytes: Uint8Array): Promise<Key> {
    return { bytes: bytes.slice() };
  },

  async encrypt(algorithm: AesGcmParams & AesCtrParams, { bytes }: Key, text: Uint8Array) {
    if (algorithm.name === 'AES-CTR') {
      const cipher = createCipheriv('aes-256-ctr', bytes, algorithm.counter as Uint8Array);
      return exactly(cipher.update(text));
    }
    const cipher = createCipheriv('aes-256-gcm', bytes, algorithm.iv as Uint8Array);
    cipher.setAAD(algorithm.additionalData as Uint8Array);
    return exactly(Buffer.concat([cipher.update(text), cipher.final(), cipher.getAuthTag()]));
  },

  async decrypt({ iv, additionalData }: AesGcmParams, { bytes }: Key, sealed: Uint8Array) {
    const end = sealed.byteLength - TAG_BYTES;
    const decipher = createDecipheriv('aes-256-gcm', bytes, iv as Uint8Array);
    decipher.setAAD(additionalData as Uint8Array);
    decipher.setAuthTag(sealed.subarray(end));
    return exactly(Buffer.concat([decipher.update(sealed.subarray(0, end)), decipher.final()]));
  },

  async deriveBits({ public: peer }: { readonly public: Key }, { bytes }: Key) {
    return exactly(bytesOf((integerOf(bytes.slice(-32)) * integerOf(peer.bytes)) % PRIME));
  },
};

let users = 0;

/** While `run` runs, and any other at the same time. */
export async function withInstantCrypto<T>(run: () => Promise<T>): Promise<T> {
  if (users++ === 0)
    for (const [name, value] of Object.entries(methods))
      Object.defineProperty(crypto.subtle, name, { value, configurable: true });
  try {
    return await run();
  } finally {
    if (--users === 0) for (const name of Object.keys(methods)) Reflect.deleteProperty(crypto.subtle, name);
  }
}

function exactly(bytes: Uint8Array): ArrayBuffer {
  return new Uint8Array(bytes).buffer;
}

function integerOf(bytes: Uint8Array): bigint {
  return BigInt(`0x${Buffer.from(bytes).toString('hex')}`) % PRIME;
}

function bytesOf(integer: bigint): Uint8Array {
  return Buffer.from(integer.toString(16).padStart(64, '0'), 'hex');
}
