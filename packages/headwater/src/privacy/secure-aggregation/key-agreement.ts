/**
 * X25519 (RFC 7748): two parties get one secret from their key pairs. WebCrypto where it has the curve, else audited
 * JavaScript. Secrets are 32 bytes, because they are shared in parts.
 */

import { x25519 } from '@noble/curves/ed25519.js';
import { fromBase64url } from '../../base/base64url.ts';
import { joinBytes } from '../../base/bytes.ts';
import { messageOf } from '../../base/errors.ts';
import { aborted } from './abort.ts';
import type { Bytes } from './hkdf.ts';

export const KEY_BYTES = 32;

export interface KeyAgreement {
  publicKey(secret: Uint8Array): Promise<Bytes>;
  /** Throws SECURE_AGGREGATION_ABORTED for keys of low order, whose secret everybody knows. */
  agree(secret: Uint8Array, publicKey: Uint8Array): Promise<Bytes>;
}

/** u = 9. */
const BASE_POINT = Uint8Array.from({ length: KEY_BYTES }, (_, i) => (i === 0 ? 9 : 0));
/** DER of a private key (RFC 8410) up to its 32 bytes. */
const PKCS8_PREFIX = fromBase64url('MC4CAQAwBQYDK2VuBCIEIA')!;

export const webcryptoAgreement: KeyAgreement = {
  publicKey: (secret) => derive(secret, BASE_POINT),
  agree: (secret, publicKey) => checked(publicKey, () => derive(secret, publicKey)),
};

export const portableAgreement: KeyAgreement = {
  publicKey: async (secret) => new Uint8Array(x25519.getPublicKey(secret)),
  agree: (secret, publicKey) =>
    checked(publicKey, async () => new Uint8Array(x25519.getSharedSecret(secret, publicKey))),
};

let chosen: Promise<KeyAgreement> | undefined;

/** The one that this machine has. */
export function keyAgreement(): Promise<KeyAgreement> {
  chosen ??= webcryptoAgreement.publicKey(BASE_POINT).then(
    () => webcryptoAgreement,
    () => portableAgreement,
  );
  return chosen;
}

async function derive(secret: Uint8Array, publicKey: Uint8Array): Promise<Bytes> {
  const pkcs8 = joinBytes([PKCS8_PREFIX, secret]);
  const key = await crypto.subtle.importKey('pkcs8', pkcs8, 'X25519', false, ['deriveBits']);
  const peer = await crypto.subtle.importKey('raw', new Uint8Array(publicKey), 'X25519', false, []);
  return new Uint8Array(await crypto.subtle.deriveBits({ name: 'X25519', public: peer }, key, 256));
}

/** Libraries differ in whether they refuse a secret of zeros. */
async function checked(publicKey: Uint8Array, agree: () => Promise<Bytes>): Promise<Bytes> {
  if (publicKey.byteLength !== KEY_BYTES) throw aborted('bad-key', `${publicKey.byteLength} bytes`);
  const secret = await agree().catch((cause) => {
    throw aborted('bad-key', messageOf(cause));
  });
  if (secret.every((byte) => byte === 0)) throw aborted('bad-key', 'the common secret is zero');
  return secret;
}
