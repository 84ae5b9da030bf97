/**
 * The Blobs over S3 or a store that speaks it: one object per blob, `blobs/SHA256` below the prefix. Objects appear whole
 * or not at all, and every read of a whole blob checks its digest again. Its parts, one file each, are in `s3/`.
 */

import { createHash } from 'node:crypto';
import { joinBytes } from '../base/bytes.ts';
import { systemTimers, type Timers } from '../base/clock.ts';
import { assert } from '../base/errors.ts';
import type { Blobs, ByteRange } from './blobs.ts';
import { runCorrupt } from './failures.ts';
import { parseBucketAddress } from './s3/address.ts';
import { type Bucket, openBucket } from './s3/bucket.ts';
import { readObject } from './s3/read.ts';
import { bucketUploads } from './s3/uploads.ts';
import { blobName, DEFAULT_SIZES, type PartSizes, storeStream } from './s3/write.ts';
import { isDigest } from './upload-plan.ts';

export interface S3Options {
  readonly timers?: Timers;
  /** A connection on which nothing moves for so long is given up; default 30 s. */
  readonly idleTimeoutMs?: number;
  /** Of one request; default 6. */
  readonly maxAttempts?: number;
  readonly sizes?: PartSizes;
}

const IDLE_TIMEOUT_MS = 30_000;
const MAX_ATTEMPTS = 6;

export interface S3Blobs extends Blobs {
  close(): void;
}

/**
 * Opens `s3://bucket/prefix?endpoint=…&region=…`. Throws OPTION_INVALID (address), CONNECTION_FAILED (store) and
 * STORAGE_FAILED (bucket, rights, credentials).
 */
export async function openS3Blobs(url: string, options: S3Options = {}): Promise<S3Blobs> {
  const { timers = systemTimers, idleTimeoutMs = IDLE_TIMEOUT_MS, maxAttempts = MAX_ATTEMPTS } = options;
  const { sizes = DEFAULT_SIZES } = options;
  const bucket = await openBucket(parseBucketAddress(url), { idleTimeoutMs, maxAttempts });
  // Wrong names, rights and credentials show now and not in the middle of a run.
  for await (const _ of bucket.list('blobs/0')) break;
  return {
    put: (bytes) => put(bucket, bytes, sizes),
    putStream: (source) => storeStream(bucket, source, sizes),
    get: (digest) => get(bucket, timers, digest),
    stream: (digest, range) => stream(bucket, timers, digest, range),
    has: async (digest) => (await bucket.size(nameOf(digest))) !== undefined,
    size: async (digest) => bucket.size(nameOf(digest)),
    delete: async (digest) => bucket.delete(nameOf(digest)),
    list: () => list(bucket),
    uploads: bucketUploads(bucket, timers, sizes),
    close: () => bucket.close(),
  };
}

function nameOf(digest: string): string {
  assert(isDigest(digest), `"${digest}" is no SHA-256`);
  return blobName(digest);
}

async function put(bucket: Bucket, bytes: Uint8Array, sizes: PartSizes): Promise<string> {
  // A copy: the SDK sends later, and the caller may go on using the buffer.
  const own = bytes.slice();
  const digest = createHash('sha256').update(own).digest('hex');
  if ((await bucket.size(blobName(digest))) === own.byteLength) return digest;
  return storeStream(bucket, oneByOne(own, sizes.partBytes), sizes, digest);
}

async function* oneByOne(bytes: Uint8Array, pieceBytes: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.byteLength; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes);
}

async function get(bucket: Bucket, timers: Timers, digest: string): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  for await (const piece of stream(bucket, timers, digest)) pieces.push(piece);
  // A buffer of its own: readers make typed arrays over it.
  return joinBytes(pieces);
}

async function* stream(
  bucket: Bucket,
  timers: Timers,
  digest: string,
  range?: ByteRange,
): AsyncGenerator<Uint8Array> {
  const name = nameOf(digest);
  if (range !== undefined) {
    if (range.length > 0) yield* readObject(bucket, timers, name, range.offset, range.offset + range.length);
    return;
  }
  const hash = createHash('sha256');
  let held: Uint8Array | undefined;
  for await (const piece of readObject(bucket, timers, name)) {
    if (held !== undefined) yield held;
    hash.update(piece);
    held = piece;
  }
  const found = hash.digest('hex');
  if (found !== digest)
    throw runCorrupt(`blob ${digest} is damaged: its bytes have SHA-256 ${found}`, bucket.shown);
  if (held !== undefined) yield held;
}

async function list(bucket: Bucket): Promise<string[]> {
  const digests: string[] = [];
  for await (const { name } of bucket.list(blobName(''))) {
    const digest = name.slice(blobName('').length);
    if (isDigest(digest)) digests.push(digest);
  }
  return digests.sort();
}
