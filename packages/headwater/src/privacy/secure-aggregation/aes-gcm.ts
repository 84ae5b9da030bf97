/** AES-256-GCM: what only the holder of the key reads, and nobody changes unseen. A fresh nonce precedes each ciphertext. */

import { joinBytes } from '../../base/bytes.ts';
import type { Bytes } from './hkdf.ts';

export const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/** Bytes that a sealed text is longer by. */
export const SEAL_BYTES = NONCE_BYTES + TAG_BYTES;

/** `nonce`: of 12 random bytes, never used twice under one key. `context` is not sent, but must be the same to open. */
export async function seal(
  key: Uint8Array,
  nonce: Uint8Array,
  text: Uint8Array,
  context: Uint8Array,
): Promise<Bytes> {
  const secret = await importKey(key, 'encrypt');
  const sealed = await crypto.subtle.encrypt(gcm(nonce, context), secret, new Uint8Array(text));
  return joinBytes([nonce, new Uint8Array(sealed)]);
}

/** Undefined: not sealed under this key and context, or changed since. */
export async function unseal(
  key: Uint8Array,
  sealed: Uint8Array,
  context: Uint8Array,
): Promise<Bytes | undefined> {
  if (sealed.byteLength < SEAL_BYTES) return undefined;
  const secret = await importKey(key, 'decrypt');
  const [nonce, text] = [sealed.slice(0, NONCE_BYTES), sealed.slice(NONCE_BYTES)];
  return crypto.subtle.decrypt(gcm(nonce, context), secret, new Uint8Array(text)).then(
    (bytes) => new Uint8Array(bytes),
    () => undefined,
  );
}

function importKey(key: Uint8Array, usage: 'encrypt' | 'decrypt'): Promise<CryptoKey> {
  return crypto.subtle.importKey('raw', new Uint8Array(key), 'AES-GCM', false, [usage]);
}

function gcm(nonce: Uint8Array, context: Uint8Array): AesGcmParams {
  return { name: 'AES-GCM', iv: new Uint8Array(nonce), additionalData: new Uint8Array(context) };
}
