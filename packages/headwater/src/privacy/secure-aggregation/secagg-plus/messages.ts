/**
 * What members and server of SecAgg+ say to each other (Bell et al. 2020 over Bonawitz et al. 2017), as plain JSON; keys,
 * shares and signatures are base64url. The masked vector itself travels as bytes.
 *
 *   0  advertise   member → server: two fresh public keys, signed
 *   1  share       server → members: U1, everybody's keys; member → server: shares of its secrets, sealed for its neighbours
 *   2  mask        server → members: U2, the shares for them; member → server: the masked vector
 *   3  confirm     server → members: U3, whose vectors came; member → server: a signature over U3
 *   4  unmask      server → members: their neighbours' signatures; member → server: one share of each neighbour's secret
 */

import { utf8ToBytes } from '@noble/hashes/utils.js';
import { fromBase64url } from '../../../base/base64url.ts';
import { joinBytes } from '../../../base/bytes.ts';
import { canonicalJson, digestJson } from '../../../base/canonical.ts';
import { contextBytes, labelledHash } from '../context.ts';
import type { Rates } from '../graph.ts';
import type { Bytes } from '../hkdf.ts';

/** What one attempt of a round is about; everybody binds everything to it. */
export interface Attempt {
  readonly run: string;
  readonly round: number;
  /** From 1; a further attempt has fresh keys. */
  readonly attempt: number;
  /** Words of the vector. */
  readonly length: number;
  /** Digest of what the words mean. */
  readonly layout: string;
  /** Fewer owners are never summed. */
  readonly minOwners: number;
  /** Not all are summed, but groups of at least so many, drawn when the keys are fixed. */
  readonly groupSize?: number;
  readonly assumed: Rates;
  /** Who may take part; sorted by owner. */
  readonly roster: readonly RosterMember[];
}

export interface RosterMember {
  readonly owner: string;
  /** Ed25519. */
  readonly identity: string;
}

export interface Advert {
  readonly owner: string;
  /** X25519, for sealing shares. */
  readonly channelKey: string;
  /** X25519, for masks. */
  readonly maskKey: string;
  readonly signature: string;
}

export interface SealedShares {
  /** Of the seed of the member's own mask. */
  readonly commitment: string;
  /** Sorted by `to`. */
  readonly sealed: readonly { readonly to: string; readonly share: string }[];
}

export interface SharesForMember {
  /** U2, sorted. */
  readonly members: readonly string[];
  /** From the neighbours in U2, sorted by `from`. */
  readonly sealed: readonly { readonly from: string; readonly share: string }[];
}

/** U3 and U2 ∖ U3, sorted. */
export interface SurvivorSets {
  readonly survivors: readonly string[];
  readonly dropped: readonly string[];
}

export interface Confirmation {
  readonly owner: string;
  readonly signature: string;
}

/** Of a neighbour either the one or the other. */
export interface Unmasking {
  /** Of survivors: a share of the seed of their own mask. */
  readonly seeds: readonly OwnedShare[];
  /** Of the dropped: a share of their mask key. */
  readonly keys: readonly OwnedShare[];
}

export interface OwnedShare {
  readonly of: string;
  readonly share: string;
}

export function attemptContext({ roster, ...fields }: Attempt): Bytes {
  return contextBytes({
    protocol: 'secagg-plus',
    ...fields,
    numOwners: roster.length,
    roster: digestJson(roster),
  });
}

/** What the operator signs: an attempt with this roster is one of its own. */
export function attemptBytes(attempt: Attempt): Bytes {
  return signed('attempt', attemptContext(attempt));
}

/** What a member signs in step 0. */
export function advertBytes(context: Uint8Array, channelKey: Uint8Array, maskKey: Uint8Array): Bytes {
  return signed('r0', context, channelKey, maskKey);
}

/** What a member signs in step 3. */
export function survivorsBytes(session: Uint8Array, survivors: readonly string[]): Bytes {
  return signed('r3', session, utf8ToBytes(digestJson(survivors)));
}

/** Of the seed of a member's own mask. */
export function seedCommitment(session: Uint8Array, seed: Uint8Array): Bytes {
  return labelledHash('seed', session, seed);
}

/** Binds what follows to all keys of U1: who was told of other members cannot open what these have sealed. */
export function sessionBytes(context: Uint8Array, adverts: readonly Advert[]): Bytes {
  return labelledHash('session', context, utf8ToBytes(canonicalJson(adverts)));
}

/** Undefined: not base64url, or of another length. */
export function decoded(text: string, length: number): Bytes | undefined {
  const bytes = fromBase64url(text);
  return bytes?.byteLength === length ? bytes : undefined;
}

function signed(step: string, ...parts: readonly Uint8Array[]): Bytes {
  return joinBytes([utf8ToBytes(`headwater/secagg-plus/v1/${step}\0`), ...parts]);
}

export function isSortedSet(names: readonly string[]): boolean {
  return names.every((name, i) => i === 0 || names[i - 1]! < name);
}
