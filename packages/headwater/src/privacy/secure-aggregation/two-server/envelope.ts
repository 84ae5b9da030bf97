/**
 * What a client hands in beside its masked update where two servers aggregate: the seed of its mask, sealed for the helper, and the
 * client's signature on both. Bound to one aggregation, one owner and one masked update: anywhere else it opens nothing.
 */

import { utf8ToBytes } from '@noble/hashes/utils.js';
import { joinBytes } from '../../../base/bytes.ts';
import { canonicalJson } from '../../../base/canonical.ts';
import { labelledHash } from '../context.ts';
import { type Bytes, hkdfSha256 } from '../hkdf.ts';
import { hpkeOpen, hpkeSeal, SEALED_EXTRA_BYTES } from '../hpke.ts';

export const SEED_BYTES = 32;
export const SEALED_SEED_BYTES = SEED_BYTES + SEALED_EXTRA_BYTES;

/** What one aggregation is about. Client, coordinator and helper make it from what each knows itself. */
export interface TwoServerContext {
  readonly run: string;
  readonly round: number;
  /** Of the round, from 1. */
  readonly attempt: number;
  /** Public key of the coordinator's operator, base64url. */
  readonly operator: string;
  /** Public key of the helper, base64url. */
  readonly helper: string;
  /** Fewest updates in a sum that the helper opens. */
  readonly minUpdates: number;
  /** Updates of a group whose sum is opened by itself; null: all are one. */
  readonly groupSize: number | null;
  /** Digest of the params that were trained from. */
  readonly base: string;
  /** Words of the vector. */
  readonly words: number;
  /** Digest of what the words mean: names, shapes, fixed-point scale. */
  readonly layout: string;
}

export function twoServerContext(context: TwoServerContext): Bytes {
  return labelledHash('two-server', utf8ToBytes(canonicalJson(context)));
}

/** Key of the keystream that is added to the update. */
export function maskKeyOf(seed: Uint8Array, context: Uint8Array): Bytes {
  return hkdfSha256(seed, context, 'headwater/secure-aggregation/v1/two-server/mask');
}

/** Whose masked update it is. */
export interface Submission {
  readonly owner: string;
  /** SHA-256 of the masked update's file, hex. */
  readonly update: string;
}

const INFO = utf8ToBytes('headwater/secure-aggregation/v1/two-server/seed');

export function sealSeed(
  helper: Uint8Array,
  context: Uint8Array,
  submission: Submission,
  seed: Uint8Array,
  ephemeral: Uint8Array,
): Promise<Bytes> {
  return hpkeSeal(helper, { info: INFO, aad: bound(context, submission) }, seed, ephemeral);
}

/** Undefined: it was sealed for another key, aggregation, owner or update, or is no seed. */
export async function openSeed(
  secret: Uint8Array,
  context: Uint8Array,
  submission: Submission,
  sealed: Uint8Array,
): Promise<Bytes | undefined> {
  if (sealed.byteLength !== SEALED_SEED_BYTES) return undefined;
  return hpkeOpen(secret, { info: INFO, aad: bound(context, submission) }, sealed);
}

/** What the client signs with the key that it joined with. */
export function signedBytes(context: Uint8Array, submission: Submission, sealed: Uint8Array): Bytes {
  return labelledHash('two-server/submission', bound(context, submission), sealed);
}

function bound(context: Uint8Array, { owner, update }: Submission): Bytes {
  return joinBytes([context, labelledHash('two-server/owner', utf8ToBytes(`${update} ${owner}`))]);
}
