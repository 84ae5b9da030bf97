/** Bytes to store and sources that give them piece by piece, well or badly. */

import { createHash } from 'node:crypto';
import { expect } from 'vitest';

export const MIB = 2 ** 20;

export const sha256 = (content: Uint8Array) => createHash('sha256').update(content).digest('hex');

export const bytesOf = (count: number, salt = 0) =>
  new Uint8Array(count).map((_, i) => (i * 31 + (i >> 8) * 7 + salt) & 0xff);

export async function* inPieces(content: Uint8Array, pieceBytes: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < content.byteLength; at += pieceBytes) {
    await null;
    yield content.slice(at, at + pieceBytes);
  }
}

export async function* failing(content: Uint8Array): AsyncGenerator<Uint8Array> {
  yield content;
  await null;
  throw new Error('the sender went away');
}

/** The whole of a stream whose pieces keep to the limit of 1 MiB. */
export async function collected(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const piece of source) {
    expect(piece.byteLength).toBeLessThanOrEqual(MIB);
    parts.push(piece.slice());
  }
  return Buffer.concat(parts);
}
