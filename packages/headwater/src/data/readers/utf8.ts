/** Bytes → text, refusing what is no UTF-8 instead of filling it with replacement characters. */

import { joinBytes } from '../../base/bytes.ts';
import type { RowSource } from './reader.ts';

export interface Line {
  /** undefined: the bytes are no UTF-8. */
  readonly text: string | undefined;
  /** 1-based. */
  readonly number: number;
}

const NEWLINE = 10;

export const WRONG_ENCODING = 'the bytes are no UTF-8; convert the file (iconv -t utf-8)';

export async function* lines(source: RowSource): AsyncGenerator<Line> {
  let pending: Uint8Array[] = [];
  let number = 0;
  for await (const chunk of source.chunks()) {
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
      yield decodedLine([...pending, chunk.subarray(start, end)], ++number);
      pending = [];
      start = end + 1;
    }
    if (start < chunk.length) pending.push(chunk.slice(start));
  }
  if (pending.length > 0) yield decodedLine(pending, ++number);
}

function decodedLine(parts: readonly Uint8Array[], number: number): Line {
  return { text: decodeUtf8(joined(parts)), number };
}

/** The whole text; undefined when the bytes are no UTF-8. */
export async function wholeText(source: RowSource): Promise<string | undefined> {
  return decodeUtf8(await wholeBytes(source));
}

export async function wholeBytes(source: RowSource): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const chunk of source.chunks()) parts.push(chunk);
  return joined(parts);
}

/** A leading byte order mark is left out. UTF-16 is caught by its mark or its zero bytes. */
function decodeUtf8(bytes: Uint8Array): string | undefined {
  if (bytes.includes(0)) return undefined;
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  return parts.length === 1 ? parts[0]! : joinBytes(parts);
}
