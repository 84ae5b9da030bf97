/**
 * The invitation that an operator gives to an owner: `http://host:8420/#hw1_…`. It carries the secret that is redeemed once
 * and the fingerprint of the operator's key, so that a client knows whose signature to expect before it asks anybody.
 */

import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex } from '@noble/hashes/utils.js';
import { fromBase64url, toBase64url } from '../../base/base64url.ts';
import { HeadwaterError } from '../../base/errors.ts';

const PREFIX = 'hw1_';
const SECRET_BYTES = 32;
/** 128 bits: nobody finds a second key for it. */
const FINGERPRINT_BYTES = 16;

export interface JoinToken {
  /** What the coordinator is shown: 32 random bytes in base64url. */
  readonly secret: string;
  /** First 16 bytes of the SHA-256 of the operator's public key, lower-case hex. */
  readonly operator: string;
}

export function fingerprintOf(operatorKey: Uint8Array): string {
  return bytesToHex(sha256(operatorKey).subarray(0, FINGERPRINT_BYTES));
}

/** `hw1_` and 64 characters of base64url: secret, then fingerprint. */
export function formatJoinToken(secret: Uint8Array, operatorKey: Uint8Array): string {
  const fingerprint = sha256(operatorKey).subarray(0, FINGERPRINT_BYTES);
  return PREFIX + toBase64url(Uint8Array.of(...secret, ...fingerprint));
}

/** Throws OPTION_INVALID. */
export function parseJoinToken(text: string): JoinToken {
  const bytes = text.startsWith(PREFIX) ? fromBase64url(text.slice(PREFIX.length)) : undefined;
  if (bytes?.length !== SECRET_BYTES + FINGERPRINT_BYTES)
    throw new HeadwaterError('OPTION_INVALID', `this is no join token: ${shown(text)}`, {
      hint: `It is ${PREFIX} and 64 more characters, as the operator's \`headwater tokens\` prints it. Copy all of it.`,
    });
  return {
    secret: toBase64url(bytes.subarray(0, SECRET_BYTES)),
    operator: bytesToHex(bytes.subarray(SECRET_BYTES)),
  };
}

/** Where an invitation leads, and its token if it carries one. Throws OPTION_INVALID. */
export function parseInvitation(text: string): { readonly url: string; readonly token: string | undefined } {
  const found = URL.parse(text);
  if (found === null || (found.protocol !== 'http:' && found.protocol !== 'https:'))
    throw new HeadwaterError('OPTION_INVALID', `this is no address of a coordinator: ${shown(text)}`, {
      hint: 'It looks like https://host:8420/#hw1_…',
    });
  const token = found.hash === '' ? undefined : found.hash.slice(1);
  const path = found.pathname.replace(/\/+$/, '');
  return { url: found.origin + path, token };
}

/** Enough to see which one it is, too little to use it. */
function shown(text: string): string {
  return text.length > 24 ? `${text.slice(0, 16)}… (${text.length} characters)` : text;
}
