/** Bytes that arrive or lie on a disk, taken with care: never more than agreed, and damage is no crash. */

import { joinBytes } from '../base/bytes.ts';
import { Unanswered } from './failures.ts';

/** Throws Unanswered when the body is longer; what is thrown while reading is the caller's to interpret. */
export async function readBody(body: AsyncIterable<Uint8Array>, maxBytes: number): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  let total = 0;
  for await (const piece of body) {
    total += piece.byteLength;
    if (total > maxBytes) throw new Unanswered(`an answer of more than ${maxBytes} bytes`);
    pieces.push(piece);
  }
  return joinBytes(pieces);
}

/** Undefined for what is no JSON: a damaged record is a lost one. */
export function jsonOrUndefined(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch (cause) {
    if (cause instanceof SyntaxError) return undefined;
    throw cause;
  }
}
