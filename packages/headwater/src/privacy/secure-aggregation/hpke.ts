/**
 * Hybrid public-key encryption (RFC 9180), base mode, one message: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM. Whoever
 * has the recipient's public key can seal, only the recipient can open; nobody learns who sealed. It knows no rounds.
 */

import { expand, extract } from '@noble/hashes/hkdf.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { utf8ToBytes } from '@noble/hashes/utils.js';
import { joinBytes } from '../../base/bytes.ts';
import type { Bytes } from './hkdf.ts';
import { KEY_BYTES, keyAgreement } from './key-agreement.ts';

/** AEAD by its number in the RFC. */
export interface Aead {
  readonly id: number;
  readonly keyBytes: number;
}

const AES_256_GCM: Aead = { id: 2, keyBytes: 32 };
const TAG_BYTES = 16;

/** Bytes that a sealed text is longer by: the encapsulated key and the tag. */
export const SEALED_EXTRA_BYTES = KEY_BYTES + TAG_BYTES;

const KEM = 0x0020;
const KDF = 0x0001;
const NOTHING = new Uint8Array(0);

export interface Message {
  /** What the key is for. */
  readonly info: Uint8Array;
  /** Not sent, but must be the same to open. */
  readonly aad: Uint8Array;
}

/**
 * enc ‖ ciphertext. `ephemeral`: 32 fresh secret bytes, never used twice.
 * Throws SECURE_AGGREGATION_ABORTED for a public key of low order.
 */
export async function hpkeSeal(
  publicKey: Uint8Array,
  { info, aad }: Message,
  text: Uint8Array,
  ephemeral: Uint8Array,
  aead: Aead = AES_256_GCM,
): Promise<Bytes> {
  const agreement = await keyAgreement();
  const encapsulated = await agreement.publicKey(ephemeral);
  const common = await agreement.agree(ephemeral, publicKey);
  const { key, gcm } = await scheduled(common, { encapsulated, publicKey }, { info, aad }, aead);
  const sealed = await crypto.subtle.encrypt(gcm, await imported(key, 'encrypt'), new Uint8Array(text));
  return joinBytes([encapsulated, new Uint8Array(sealed)]);
}

/** Undefined: not sealed for this key and message, or changed since. */
export async function hpkeOpen(
  secret: Uint8Array,
  { info, aad }: Message,
  sealed: Uint8Array,
  aead: Aead = AES_256_GCM,
): Promise<Bytes | undefined> {
  if (sealed.byteLength < SEALED_EXTRA_BYTES) return undefined;
  const agreement = await keyAgreement();
  const encapsulated = sealed.slice(0, KEY_BYTES);
  const common = await agreement.agree(secret, encapsulated).catch(() => undefined);
  if (common === undefined) return undefined;
  const publicKey = await agreement.publicKey(secret);
  const { key, gcm } = await scheduled(common, { encapsulated, publicKey }, { info, aad }, aead);
  const opened = crypto.subtle.decrypt(gcm, await imported(key, 'decrypt'), sealed.slice(KEY_BYTES));
  return opened.then(
    (text) => new Uint8Array(text),
    () => undefined,
  );
}

interface Ends {
  readonly encapsulated: Uint8Array;
  readonly publicKey: Uint8Array;
}

/** §4.1 and §5.1: from the common secret to the key and nonce of the first message. */
async function scheduled(
  common: Uint8Array,
  { encapsulated, publicKey }: Ends,
  { info, aad }: Message,
  { id, keyBytes }: Aead,
): Promise<{ readonly key: Bytes; readonly gcm: AesGcmParams }> {
  const kem = joinBytes([utf8ToBytes('KEM'), uint16(KEM)]);
  const shared = labelledExpand(
    kem,
    labelledExtract(kem, NOTHING, 'eae_prk', common),
    'shared_secret',
    joinBytes([encapsulated, publicKey]),
    32,
  );
  const suite = joinBytes([utf8ToBytes('HPKE'), uint16(KEM), uint16(KDF), uint16(id)]);
  const context = joinBytes([
    Uint8Array.of(0),
    labelledExtract(suite, NOTHING, 'psk_id_hash', NOTHING),
    labelledExtract(suite, NOTHING, 'info_hash', info),
  ]);
  const secret = labelledExtract(suite, shared, 'secret', NOTHING);
  const key = labelledExpand(suite, secret, 'key', context, keyBytes);
  const iv = labelledExpand(suite, secret, 'base_nonce', context, 12);
  return { key, gcm: { name: 'AES-GCM', iv, additionalData: new Uint8Array(aad) } };
}

const VERSION = utf8ToBytes('HPKE-v1');

function labelledExtract(suite: Uint8Array, salt: Uint8Array, label: string, material: Uint8Array): Bytes {
  const labelled = joinBytes([VERSION, suite, utf8ToBytes(label), material]);
  return new Uint8Array(extract(sha256, labelled, salt));
}

function labelledExpand(
  suite: Uint8Array,
  key: Uint8Array,
  label: string,
  info: Uint8Array,
  length: number,
): Bytes {
  const labelled = joinBytes([uint16(length), VERSION, suite, utf8ToBytes(label), info]);
  return new Uint8Array(expand(sha256, key, labelled, length));
}

function uint16(value: number): Uint8Array {
  return Uint8Array.of(value >> 8, value & 255);
}

function imported(key: Bytes, usage: 'encrypt' | 'decrypt'): Promise<CryptoKey> {
  return crypto.subtle.importKey('raw', key, 'AES-GCM', false, [usage]);
}
