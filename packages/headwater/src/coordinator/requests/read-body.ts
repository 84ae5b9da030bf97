/** Bodies from strangers, bounded while they are read. */

import { joinBytes } from '../../base/bytes.ts';
import { HeadwaterError } from '../../base/errors.ts';
import { parseWireJson } from '../../federation/wire/json.ts';
import { LIMITS } from '../../federation/wire/messages.ts';
import { Refusal } from '../../federation/wire/refusals.ts';
import type { IncomingRequest } from '../ports.ts';

/** Throws `too-large`, `encoding-refused`. */
export async function readSmallBody({ headers, body }: IncomingRequest): Promise<Uint8Array> {
  const encoding = headers['content-encoding'] ?? 'identity';
  if (encoding !== 'identity')
    throw new Refusal('encoding-refused', 'JSON is taken without Content-Encoding only');
  const announced = Number(headers['content-length'] ?? 0);
  if (announced > LIMITS.jsonBytes) throw tooLarge();
  const pieces: Uint8Array[] = [];
  let total = 0;
  for await (const piece of body) {
    total += piece.byteLength;
    if (total > LIMITS.jsonBytes) throw tooLarge();
    pieces.push(piece);
  }
  return joinBytes(pieces);
}

/** No body is undefined. Throws `request-invalid`. */
export function parseSmallBody(bytes: Uint8Array): unknown {
  if (bytes.byteLength === 0) return undefined;
  try {
    return parseWireJson(bytes);
  } catch (cause) {
    if (cause instanceof HeadwaterError) throw new Refusal('request-invalid', cause.message);
    throw cause;
  }
}

function tooLarge(): Refusal {
  return new Refusal('too-large', `more than ${LIMITS.jsonBytes} bytes of JSON`);
}
