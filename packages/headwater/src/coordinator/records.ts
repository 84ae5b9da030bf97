/** The small records that a coordinator keeps beside the journals: their names, their shapes, and writing them safely. */

import { assert } from '../base/errors.ts';
import type { OwnerCounts } from '../federation/plan.ts';
import type {
  Advert,
  Attempt,
  Confirmation,
  SealedShares,
  Unmasking,
} from '../privacy/secure-aggregation/secagg-plus/messages.ts';
import type { Json } from '../storage/journal.ts';
import type { Records } from '../storage/store.ts';

/** `runs`, by run. */
export interface RunRecord {
  readonly createdMs: number;
  readonly recipe: Json;
  /** SHA-256 of the recipe's canonical JSON. */
  readonly recipeDigest: string;
  readonly manifest: { readonly text: string; readonly operatorKey: string; readonly signature: string };
  /** Null while it goes on, and until its reports are written. */
  readonly over: OverRecord | null;
  /** Of a run that waits for owners; afterwards the journal knows. */
  readonly paused: string | null;
}

/** How a run ended. */
export interface OverRecord {
  readonly status: 'finished' | 'failed' | 'cancelled';
  readonly reason: string | null;
  /** What is kept of it: its result above all. */
  readonly blobs: readonly string[];
}

/** `tokens`, by id. */
export interface TokenRecord {
  readonly run: string;
  readonly owner: string | null;
  /** SHA-256 of the secret. The secret is nowhere. */
  readonly hash: string;
  readonly usesLeft: number;
  readonly expiresMs: number;
  readonly revoked: boolean;
  /** Clients that redeemed it: they may do so again, with the same result. */
  readonly redeemedBy: readonly string[];
}

/** `clients`, by `run/clientId`. */
export interface ClientRecord {
  readonly clientId: string;
  readonly run: string;
  readonly owner: string;
  /** Base64url. */
  readonly publicKey: string;
  readonly tokenId: string;
  readonly joinedMs: number;
  readonly software: string;
  /** Why the key is not taken any more. */
  readonly revoked: string | null;
}

/** `owners`, by `run/owner`: whose key counts. */
export interface OwnerRecord {
  readonly clientId: string;
}

/** `enrolments`, by `run/owner`: who waits for the run to begin. */
export type EnrolmentRecord = OwnerCounts;

/** `noise-keys`, by `run/round`; base64url, null once destroyed. Never leaves the store. */
export interface NoiseKeyRecord {
  readonly membership: string;
  readonly key: string | null;
}

/** `secure-rounds`, by `run/round.attempt/…`: what owners said to open their masks together. Deleted when the round is over. */
export type SecureRoundRecord =
  | { readonly kind: 'begun'; readonly attempt: Attempt; readonly signature: string }
  | { readonly kind: 'advert'; readonly advert: Advert }
  | { readonly kind: 'shares'; readonly owner: string; readonly shares: SealedShares }
  /** Whose shares went out. */
  | { readonly kind: 'present'; readonly members: readonly string[] }
  | { readonly kind: 'confirmed'; readonly confirmation: Confirmation }
  | { readonly kind: 'unmasked'; readonly owner: string; readonly unmasking: Unmasking };

interface Shapes {
  runs: RunRecord;
  tokens: TokenRecord;
  clients: ClientRecord;
  owners: OwnerRecord;
  enrolments: EnrolmentRecord;
  'noise-keys': NoiseKeyRecord;
  'secure-rounds': SecureRoundRecord;
}

export async function readRecord<C extends keyof Shapes>(
  records: Records,
  collection: C,
  key: string,
): Promise<Shapes[C] | undefined> {
  return (await records.get(collection, key))?.value as unknown as Shapes[C] | undefined;
}

/** Of a run: keys that begin with `run/`. */
export async function listRecords<C extends keyof Shapes>(
  records: Records,
  collection: C,
  prefix?: string,
): Promise<{ readonly key: string; readonly value: Shapes[C] }[]> {
  const found = await records.list(collection, prefix);
  return found.map(({ key, value }) => ({ key, value: value as unknown as Shapes[C] }));
}

/** Writers of one record that get in each other's way are few; more tries are a sign of something else. */
const MAX_TRIES = 20;

/**
 * Changes a record as it stands now (undefined: there is none) and gives the new value; `change` may be called several
 * times. When it gives undefined nothing is written.
 */
export async function changeRecord<C extends keyof Shapes>(
  records: Records,
  collection: C,
  key: string,
  change: (value: Shapes[C] | undefined) => Shapes[C] | undefined,
): Promise<Shapes[C] | undefined> {
  for (let tries = 0; tries < MAX_TRIES; tries++) {
    const before = await records.get(collection, key);
    const next = change(before?.value as unknown as Shapes[C] | undefined);
    if (next === undefined) return undefined;
    const version = await records.put(collection, key, next as unknown as Json, before?.version ?? 0);
    if (version !== undefined) return next;
  }
  assert(false, `the record ${collection}/${key} changes all the time`);
}
