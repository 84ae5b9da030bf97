/**
 * Join tokens: made, looked up, redeemed, revoked. Only hashes of secrets are stored; the id is the beginning of the hash,
 * so that a lookup tells nothing about the rest, which is compared in constant time.
 */

import { fromBase64url } from '../base/base64url.ts';
import { digestBytes } from '../base/canonical.ts';
import { Refusal } from '../federation/wire/refusals.ts';
import type { Records } from '../storage/store.ts';
import { changeRecord, readRecord, type TokenRecord } from './records.ts';

const ID_LENGTH = 16;
const SECRET_BYTES = 32;

export interface KnownToken {
  readonly id: string;
  readonly token: TokenRecord;
}

export async function createToken(
  records: Records,
  secret: Uint8Array,
  token: Pick<TokenRecord, 'run' | 'owner' | 'usesLeft' | 'expiresMs'>,
): Promise<string> {
  const hash = digestBytes(secret);
  const id = hash.slice(0, ID_LENGTH);
  await changeRecord(records, 'tokens', id, () => ({ ...token, hash, revoked: false, redeemedBy: [] }));
  return id;
}

/** Throws `token-refused`, always with the same words for a token that is not known. */
export async function findToken(records: Records, secretText: string): Promise<KnownToken> {
  const secret = fromBase64url(secretText);
  if (secret?.length === SECRET_BYTES) {
    const hash = digestBytes(secret);
    const id = hash.slice(0, ID_LENGTH);
    const token = await readRecord(records, 'tokens', id);
    if (token !== undefined && sameText(token.hash, hash)) return { id, token };
  }
  throw new Refusal('token-refused', 'this join token is not known here', {
    hint: 'Ask the operator for a new one.',
  });
}

/** Whether it lets somebody in. A client that redeemed it before may come again. */
export function checkToken({ token }: KnownToken, clientId: string | undefined, nowMs: number): void {
  const hint = 'Ask the operator for a new one.';
  if (token.revoked) throw new Refusal('token-refused', 'this join token was revoked', { hint });
  if (clientId !== undefined && token.redeemedBy.includes(clientId)) return;
  if (token.expiresMs <= nowMs) throw new Refusal('token-refused', 'this join token has expired', { hint });
  if (token.usesLeft <= 0) throw new Refusal('token-refused', 'this join token was used already', { hint });
}

/** Uses it up for this client; once more is the same. */
export async function redeemToken(
  records: Records,
  { id }: KnownToken,
  clientId: string,
  nowMs: number,
): Promise<void> {
  await changeRecord(records, 'tokens', id, (token) => {
    if (token === undefined) throw new Refusal('token-refused', 'this join token is not known here');
    checkToken({ id, token }, clientId, nowMs);
    if (token.redeemedBy.includes(clientId)) return undefined;
    return { ...token, usesLeft: token.usesLeft - 1, redeemedBy: [...token.redeemedBy, clientId] };
  });
}

function sameText(a: string, b: string): boolean {
  let difference = a.length ^ b.length;
  for (let i = 0; i < a.length; i++) difference |= a.charCodeAt(i) ^ b.charCodeAt(i);
  return difference === 0;
}
