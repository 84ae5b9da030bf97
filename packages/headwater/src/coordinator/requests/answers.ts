/** Answers of the client API, and what every failure is answered with. Details of our own failures stay in the log. */

import { HeadwaterError } from '../../base/errors.ts';
import { Refusal } from '../../federation/wire/refusals.ts';
import type { WireResponse } from '../../federation/wire/transport.ts';

export function jsonAnswer(value: unknown, status = 200): WireResponse {
  const bytes = new TextEncoder().encode(JSON.stringify(value));
  const headers = {
    'content-type': 'application/json',
    'content-length': String(bytes.byteLength),
    'cache-control': 'no-store',
  };
  return { status, headers, body: once(bytes) };
}

export async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

export async function* nothing(): AsyncGenerator<Uint8Array> {}

export function refusalAnswer(refusal: Refusal): WireResponse {
  const answer = jsonAnswer(refusal.body(), refusal.status);
  const { retryAfterMs } = refusal.options;
  if (retryAfterMs === undefined) return answer;
  return { ...answer, headers: { ...answer.headers, 'retry-after': String(Math.ceil(retryAfterMs / 1000)) } };
}

const AGAIN_MS = 1_000;
const STORAGE_AGAIN_MS = 5_000;

/** Undefined: it is our own failure. */
export function refusalOf(cause: unknown): Refusal | undefined {
  if (cause instanceof Refusal) return cause;
  if (!(cause instanceof HeadwaterError)) return undefined;
  const { message } = cause;
  switch (cause.code) {
    case 'REQUEST_REFUSED':
      return new Refusal('request-invalid', message);
    case 'AGGREGATION_OVERFLOW':
      return new Refusal('request-invalid', `this run cannot hold so many examples: ${message}`);
    case 'PRIVACY_INVALID':
      return new Refusal('request-invalid', message);
    case 'UPLOAD_INVALID':
      return new Refusal('upload-invalid', message, {
        hint: 'Open the upload again and send what is missing.',
      });
    case 'UPLOAD_UNKNOWN':
      return new Refusal('upload-unknown', message, { hint: 'Open the upload again.' });
    case 'STORAGE_FAILED':
      return new Refusal('storage', 'the coordinator cannot store anything at present', {
        retryAfterMs: STORAGE_AGAIN_MS,
      });
    case 'RUN_LOCKED':
      return unavailable('the run changes hands');
    default:
      return undefined;
  }
}

export function unavailable(reason: string): Refusal {
  return new Refusal('unavailable', reason, { retryAfterMs: AGAIN_MS });
}

export function internal(): Refusal {
  return new Refusal('internal', 'the coordinator failed; its log says more', {
    retryAfterMs: STORAGE_AGAIN_MS,
  });
}
