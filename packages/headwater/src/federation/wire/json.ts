/**
 * JSON bodies of the wire, from bytes to a plain value that a schema may look at: size, UTF-8, depth, keys and numbers
 * are bounded first. It knows no message.
 */

import { HeadwaterError } from '../../base/errors.ts';
import { parseStrictJson, type StrictJsonLimits } from '../../base/strict-json.ts';
import { LIMITS } from './messages.ts';

const WIRE_JSON: StrictJsonLimits = { maxDepth: 32, maxKeys: 50_000, numbers: 'finite', plainKeys: true };

/** Throws REQUEST_REFUSED; the message names no content beyond a short excerpt. */
export function parseWireJson(bytes: Uint8Array, maxBytes: number = LIMITS.jsonBytes): unknown {
  if (bytes.byteLength > maxBytes)
    throw refused(`${bytes.byteLength} bytes of JSON, at most ${maxBytes} are taken`);
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw refused('the body is not UTF-8');
  }
  const parsed = parseStrictJson(text, WIRE_JSON);
  if (!parsed.ok) throw refused(`the body is no acceptable JSON (${parsed.fault}): ${parsed.detail}`);
  return parsed.value;
}

function refused(message: string): HeadwaterError {
  return new HeadwaterError('REQUEST_REFUSED', message);
}
