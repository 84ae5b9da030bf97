/** Ed25519, SHA-256 and randomness by WebCrypto: the same code in Node and in browsers. The private key leaves it only to be saved. */

import type { ClientParts, Signer } from './ports.ts';

const PKCS8_BYTES = 48;
const PUBLIC_BYTES = 32;

type Bytes = Uint8Array<ArrayBuffer>;

/** Saved form: PKCS #8 (48 bytes), then the public key (32 bytes). */
export async function webcryptoSigner(
  saved: Uint8Array | undefined,
): Promise<{ readonly signer: Signer; readonly saved: Uint8Array }> {
  const bytes = saved === undefined ? await newPair() : new Uint8Array(saved);
  const secret = bytes.slice(0, PKCS8_BYTES);
  const key = await crypto.subtle.importKey('pkcs8', secret, 'Ed25519', false, ['sign']);
  const publicKey = bytes.slice(PKCS8_BYTES);
  return {
    signer: {
      publicKey,
      sign: async (message) => new Uint8Array(await crypto.subtle.sign('Ed25519', key, message as Bytes)),
    },
    saved: bytes,
  };
}

async function newPair(): Promise<Bytes> {
  const pair = (await crypto.subtle.generateKey('Ed25519', true, ['sign', 'verify'])) as CryptoKeyPair;
  const whole = new Uint8Array(PKCS8_BYTES + PUBLIC_BYTES);
  whole.set(new Uint8Array(await crypto.subtle.exportKey('pkcs8', pair.privateKey)));
  whole.set(new Uint8Array(await crypto.subtle.exportKey('raw', pair.publicKey)), PKCS8_BYTES);
  return whole;
}

export const webcryptoVerify: ClientParts['verify'] = async (publicKey, message, signature) => {
  if (publicKey.byteLength !== PUBLIC_BYTES) return false;
  const key = await crypto.subtle.importKey('raw', publicKey as Bytes, 'Ed25519', false, ['verify']);
  return crypto.subtle.verify('Ed25519', key, signature as Bytes, message as Bytes);
};

export const webcryptoEntropy: ClientParts['entropy'] = (bytes) =>
  crypto.getRandomValues(new Uint8Array(bytes));
