/** The operator's Ed25519 key: made once, kept in the store, used to sign what owners agree to and the heads of logs. */

import { hmac } from '@noble/hashes/hmac.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { utf8ToBytes } from '@noble/hashes/utils.js';
import { fromBase64url, toBase64url } from '../base/base64url.ts';
import { canonicalJson } from '../base/canonical.ts';
import { assert } from '../base/errors.ts';
import type { Manifest, SignedManifest } from '../federation/wire/messages.ts';
import type { Signer } from '../federation/wire/signing.ts';
import type { Records } from '../storage/store.ts';
import type { CoordinatorParts } from './ports.ts';

const SEED_BYTES = 32;

export interface OperatorKey extends Signer {
  /** Blinds the entries of transparency logs; follows from the seed and tells nothing about it. */
  readonly logKey: Uint8Array;
}

export async function openOperatorKey(
  parts: Pick<CoordinatorParts, 'store' | 'entropy' | 'signatures'>,
): Promise<OperatorKey> {
  const { records } = parts.store;
  const seed = (await savedSeed(records)) ?? (await makeSeed(records, parts.entropy(SEED_BYTES)));
  const { publicKey, sign } = parts.signatures.signer(seed);
  return { publicKey, sign, logKey: hmac(sha256, seed, utf8ToBytes('headwater/log-blinding/v1')) };
}

async function savedSeed(records: Records): Promise<Uint8Array | undefined> {
  const found = await records.get('operator', 'key');
  if (found === undefined) return undefined;
  const seed = fromBase64url((found.value as { seed: string }).seed);
  assert(seed?.length === SEED_BYTES, 'the operator key has 32 bytes');
  return seed;
}

async function makeSeed(records: Records, seed: Uint8Array): Promise<Uint8Array> {
  const version = await records.put('operator', 'key', { seed: toBase64url(seed) }, 0);
  // Another process may have been faster.
  return version === undefined ? ((await savedSeed(records)) ?? seed) : seed;
}

export async function signManifest(signer: Signer, manifest: Manifest): Promise<SignedManifest> {
  const text = canonicalJson(manifest);
  const signature = await signer.sign(new TextEncoder().encode(text));
  return { text, operatorKey: toBase64url(signer.publicKey), signature: toBase64url(signature) };
}
