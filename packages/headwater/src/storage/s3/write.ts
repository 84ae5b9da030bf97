/**
 * Writes streams of any length: one request when they fit into a part, else a multipart upload, which the store shows
 * whole or not at all. A stream whose digest is not known before goes to a name of its own first and is copied there.
 */

import { createHash, randomUUID } from 'node:crypto';
import type { Bucket } from './bucket.ts';

/** S3 wants at least 5 MiB for every part but the last, and at most 10,000 parts. */
const PART_BYTES = 8 * 2 ** 20;
/** S3 copies at most 5 GB at once. */
const COPY_AT_ONCE_BYTES = 2 ** 32;
const COPY_PART_BYTES = 2 ** 29;

export const blobName = (digest: string) => `blobs/${digest}`;
export const STAGING = 'staging/';

/** Smaller in tests. */
export interface PartSizes {
  readonly partBytes: number;
  readonly copyAtOnceBytes: number;
  readonly copyPartBytes: number;
}

export const DEFAULT_SIZES: PartSizes = {
  partBytes: PART_BYTES,
  copyAtOnceBytes: COPY_AT_ONCE_BYTES,
  copyPartBytes: COPY_PART_BYTES,
};

/** A stream whose bytes have another SHA-256 than announced; nothing was stored. */
export class WrongDigest extends Error {}

/** Stores the stream as a blob and gives its digest. Throws WrongDigest when it is not the one announced. */
export async function storeStream(
  bucket: Bucket,
  source: AsyncIterable<Uint8Array>,
  sizes: PartSizes,
  announced?: string,
): Promise<string> {
  const parts = gathered(source, sizes.partBytes);
  const first = await parts.next();
  const second = first.done === true ? first : await parts.next();
  if (second.done === true) return storeAtOnce(bucket, first.value ?? new Uint8Array(0), announced);
  const name = announced === undefined ? `${STAGING}${randomUUID()}` : blobName(announced);
  const digest = await storeInParts(
    bucket,
    name,
    rest(first.value as Uint8Array, second.value, parts),
    announced,
  );
  if (announced === undefined) await moveObject(bucket, name, blobName(digest), sizes);
  return digest;
}

async function storeAtOnce(
  bucket: Bucket,
  bytes: Uint8Array,
  announced: string | undefined,
): Promise<string> {
  const digest = createHash('sha256').update(bytes).digest('hex');
  if (announced !== undefined && announced !== digest) throw new WrongDigest(digest);
  await bucket.put(blobName(digest), bytes);
  return digest;
}

async function storeInParts(
  bucket: Bucket,
  name: string,
  parts: AsyncIterable<Uint8Array>,
  announced: string | undefined,
): Promise<string> {
  const hash = createHash('sha256');
  const tags: string[] = [];
  const id = await bucket.multipart.begin(name);
  try {
    for await (const part of parts) {
      hash.update(part);
      tags.push(await bucket.multipart.part(name, id, tags.length + 1, part));
    }
    const digest = hash.digest('hex');
    if (announced !== undefined && announced !== digest) throw new WrongDigest(digest);
    await complete(bucket, name, id, tags);
    return digest;
  } catch (error) {
    // What cannot be dropped now is found among the abandoned uploads later.
    await bucket.multipart.abort(name, id).catch(() => undefined);
    throw error;
  }
}

async function moveObject(bucket: Bucket, from: string, to: string, sizes: PartSizes): Promise<void> {
  const bytes = (await bucket.size(from)) ?? 0;
  if (bytes <= sizes.copyAtOnceBytes) await bucket.copy(from, to);
  else await copyInParts(bucket, from, to, bytes, sizes.copyPartBytes);
  await bucket.delete(from);
}

async function copyInParts(
  bucket: Bucket,
  from: string,
  to: string,
  bytes: number,
  partBytes: number,
): Promise<void> {
  const id = await bucket.multipart.begin(to);
  try {
    const tags: string[] = [];
    for (let at = 0; at < bytes; at += partBytes) {
      const range: [number, number] = [at, Math.min(bytes, at + partBytes)];
      tags.push(await bucket.multipart.copyPart(to, id, tags.length + 1, from, range));
    }
    await complete(bucket, to, id, tags);
  } catch (error) {
    await bucket.multipart.abort(to, id).catch(() => undefined);
    throw error;
  }
}

async function complete(bucket: Bucket, name: string, id: string, tags: readonly string[]): Promise<void> {
  try {
    await bucket.multipart.complete(name, id, tags);
  } catch (error) {
    // Completed, but the answer was lost and the request repeated: there is no such upload any more, but the object.
    if ((await bucket.size(name)) === undefined) throw error;
  }
}

async function* rest(
  first: Uint8Array,
  second: Uint8Array,
  parts: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  yield first;
  yield second;
  yield* parts;
}

/** Parts of exactly `partBytes`, the last one shorter. Pieces are copied: a source may use its buffer again. */
async function* gathered(source: AsyncIterable<Uint8Array>, partBytes: number): AsyncGenerator<Uint8Array> {
  let pieces: Uint8Array[] = [];
  let filled = 0;
  for await (const piece of source)
    for (let at = 0; at < piece.byteLength; ) {
      const taken = piece.slice(at, at + partBytes - filled);
      pieces.push(taken);
      filled += taken.byteLength;
      at += taken.byteLength;
      if (filled < partBytes) continue;
      yield Buffer.concat(pieces);
      pieces = [];
      filled = 0;
    }
  if (filled > 0) yield Buffer.concat(pieces);
}
