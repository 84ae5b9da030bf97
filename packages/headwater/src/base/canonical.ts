/** Canonical bytes (RFC 8785 JSON) and digests: the same value gives the same bytes on every machine. */

import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js';
import canonicalize from 'canonicalize';
import { assert } from './errors.ts';

export function canonicalJson(value: unknown): string {
  const text = canonicalize(value);
  assert(text !== undefined, 'value has no JSON form');
  return text;
}

/** SHA-256 as 64 lower-case hex digits. */
export function digestBytes(bytes: Uint8Array): string {
  return bytesToHex(sha256(bytes));
}

export function digestJson(value: unknown): string {
  return digestBytes(utf8ToBytes(canonicalJson(value)));
}
