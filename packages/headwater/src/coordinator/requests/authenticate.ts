/**
 * Who sent a request: the signature of a key that joined the run, at about this time, never twice. The order matters: nothing
 * is remembered for somebody who cannot sign.
 */

import { fromBase64url } from '../../base/base64url.ts';
import { LIMITS } from '../../federation/wire/messages.ts';
import { Refusal } from '../../federation/wire/refusals.ts';
import { readSignature, type SignedRequest } from '../../federation/wire/signing.ts';
import type { LedRun } from '../lead/led-run.ts';
import type { IncomingRequest } from '../ports.ts';
import type { ClientRecord } from '../records.ts';
import { unavailable } from './answers.ts';
import type { HandlerContext } from './calls.ts';

const SKEW_MS = 1000 * LIMITS.clockSkewSeconds;

/** Throws `unauthenticated`. */
export function signatureOf({ method, path, headers }: IncomingRequest): SignedRequest {
  const signed = readSignature(method, path, headers);
  if (signed !== undefined) return signed;
  throw new Refusal('unauthenticated', 'the request is not signed as this protocol asks for');
}

/** Throws `unauthenticated`, `revoked`, `rate-limited`, `clock-skew`, `replayed`. */
export async function authenticate(
  context: HandlerContext,
  led: LedRun,
  signed: SignedRequest,
): Promise<ClientRecord> {
  const { clock } = context.parts;
  const client = led.members.client(signed.keyId);
  if (client === undefined) throw unknownKey();
  checkTime(signed.createdMs, clock.nowMs(), led.sinceMs);
  await checkSignature(context, signed, client.publicKey);
  checkRate(context, client);
  useNonce(led, signed, clock.nowMs());
  if (client.revoked !== null) throw revoked(client.revoked);
  led.lastSeenMs.set(client.clientId, clock.nowMs());
  return client;
}

/** The signature was checked. Throws `rate-limited`, `replayed`. */
export function useNonce(led: LedRun, { keyId, nonce, createdMs }: SignedRequest, nowMs: number): void {
  const verdict = led.nonces.use(keyId, nonce, createdMs, nowMs);
  if (verdict === 'used')
    throw new Refusal('replayed', 'this very request was received before', { hint: 'Sign it again.' });
  if (verdict === 'too-many')
    throw new Refusal('rate-limited', 'too many requests', { retryAfterMs: SKEW_MS });
}

/** Throws `unauthenticated`. */
export async function checkSignature(
  { parts }: HandlerContext,
  { message, signature }: SignedRequest,
  publicKey: string,
): Promise<void> {
  const key = fromBase64url(publicKey);
  // Bytes that are no key at all make some verifiers throw.
  const valid =
    key?.length === 32 && (await parts.signatures.verify(key, message, signature).catch(() => false));
  if (!valid) throw new Refusal('unauthenticated', 'the signature does not fit the request and the key');
}

/** Throws `clock-skew`. */
export function checkTime(createdMs: number, nowMs: number, sinceMs: number): void {
  if (Math.abs(createdMs - nowMs) > SKEW_MS)
    throw clockSkew(`the request was signed ${Math.round((createdMs - nowMs) / 1000)} s from now`, nowMs);
  if (createdMs < sinceMs)
    throw clockSkew('the request was signed before this coordinator took the run up', nowMs);
}

function clockSkew(message: string, serverTimeMs: number): Refusal {
  return new Refusal('clock-skew', message, { serverTimeMs, hint: 'Sign it again by the time given.' });
}

function checkRate({ clientRequests, parts }: HandlerContext, { run, clientId }: ClientRecord): void {
  const key = `${run}/${clientId}`;
  const nowMs = parts.clock.nowMs();
  const retryAfterMs = clientRequests.waitMs(key, nowMs);
  if (retryAfterMs > 0)
    throw new Refusal('rate-limited', 'too many requests of this client', { retryAfterMs });
  clientRequests.take(key, nowMs);
}

/** The same words for a run and for a client that are not known. */
export function unknownKey(): Refusal {
  return new Refusal('unauthenticated', 'this key has not joined such a run', { hint: 'Join with a token.' });
}

export function revoked(reason: string): Refusal {
  return new Refusal('revoked', `this key is not taken any more: ${reason}`, {
    hint: 'Ask the operator for a new join token.',
  });
}

export function notHere(reason: string): Refusal {
  return unavailable(`nobody leads the run at present (${reason})`);
}
