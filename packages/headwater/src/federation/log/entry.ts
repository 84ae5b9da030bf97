/**
 * An entry of the transparency log: the public part of one event, with its number and a blinding value, so that the hashes in a
 * proof tell nothing about the entries beside it. Blinding values come from a key that only whoever leads the run has.
 */

import { hmac } from '@noble/hashes/hmac.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { utf8ToBytes } from '@noble/hashes/utils.js';
import { toBase64url } from '../../base/base64url.ts';
import { canonicalJson } from '../../base/canonical.ts';
import type { RunEvent } from '../events.ts';
import { type Hash, leafHash } from './merkle.ts';
import { type Public, publicPart } from './public-part.ts';

const BLIND_BYTES = 16;

/** Undefined: nothing is hidden, as in simulated runs. */
export type BlindingKey = Uint8Array | undefined;

/** Canonical JSON of `{ seq, blind, event }`: exactly the hashed bytes. */
export function entryText(seq: number, event: RunEvent, key: BlindingKey, run: string): string {
  const blind = key === undefined ? null : blindOf(key, run, seq);
  return canonicalJson({ seq, blind, event: publicPart(event) });
}

export function entryHash(text: string): Hash {
  return leafHash(utf8ToBytes(text));
}

/** Of an entry whose hash was found in the log. */
export interface Entry {
  readonly seq: number;
  readonly event: { readonly [key: string]: Public };
}

/** Undefined when it is no entry. */
export function parseEntry(text: string): Entry | undefined {
  try {
    const { seq, event } = JSON.parse(text) as Entry;
    return Number.isSafeInteger(seq) && typeof event?.type === 'string' ? { seq, event } : undefined;
  } catch {
    return undefined;
  }
}

function blindOf(key: Uint8Array, run: string, seq: number): string {
  return toBase64url(hmac(sha256, key, utf8ToBytes(`${run}\n${seq}`)).subarray(0, BLIND_BYTES));
}
