/**
 * Blobs over a Disk: one file per blob, `ab/abcdef…`, written under a temporary name, flushed and renamed, so that a file
 * under its final name is always whole. Any number of threads and processes may share one folder.
 */

import { createHash, randomUUID } from 'node:crypto';
import { type Clock, systemClock } from '../base/clock.ts';
import type { Blobs, ByteRange, PieceUse } from './blobs.ts';
import type { Disk, DiskFile } from './disk.ts';
import { type BlobFiles, blobFiles } from './disk-blob-files.ts';
import { isMissing, withStorageErrors } from './disk-failures.ts';
import { makeDurableFolder, within } from './disk-paths.ts';
import { readBlocks, writeStream } from './disk-pieces.ts';
import { diskUploads } from './disk-uploads.ts';
import { runCorrupt } from './failures.ts';
import { isDigest } from './upload-plan.ts';

export interface DiskBlobsOptions {
  /** Where the folder is, for messages. */
  readonly where?: string;
  /** Names of temporary files, never the same twice over all that share the folder. */
  readonly unique?: () => string;
  /** Tells leftovers of a crash from files that are being written. */
  readonly clock?: Clock;
}

const TEMPORARY = 'tmp-';
const LEFTOVER_AFTER_MS = 24 * 60 * 60 * 1000;

/** Opens and makes the folder (`''`: the root of the disk). Throws STORAGE_FAILED. */
export async function blobsOver(disk: Disk, folder: string, options: DiskBlobsOptions = {}): Promise<Blobs> {
  const where = options.where ?? folder;
  const files = blobFiles(withStorageErrors(disk, where), folder, where);
  await prepare(files, options.clock ?? systemClock);
  const unique = options.unique ?? randomUUID;
  const temporary = () => within(folder, `${TEMPORARY}${unique()}`);
  return {
    put: (bytes) => put(files, temporary(), bytes),
    putStream: (source) => putStream(files, temporary(), source),
    get: (digest) => get(files, digest),
    stream: (digest, range, use) => stream(files, digest, range, use),
    has: async (digest) => (await files.sizeOf(digest)) !== undefined,
    size: (digest) => files.sizeOf(digest),
    delete: async (digest) => files.disk.remove(files.pathOf(digest)),
    list: () => list(files),
    uploads: diskUploads(files, within(folder, 'uploads'), (source, digest) =>
      putStream(files, temporary(), source, digest),
    ),
  };
}

/** What an earlier process renamed but did not flush becomes durable; what it left half written long ago goes. */
async function prepare({ disk, folder }: BlobFiles, clock: Clock): Promise<void> {
  await makeDurableFolder(disk, folder);
  for (const name of await disk.list(folder)) {
    if (!name.startsWith(TEMPORARY)) continue;
    const path = within(folder, name);
    const modifiedMs = (await disk.stat(path))?.modifiedMs ?? Number.POSITIVE_INFINITY;
    if (clock.nowMs() - modifiedMs > LEFTOVER_AFTER_MS) await disk.remove(path);
  }
}

async function put(files: BlobFiles, temporary: string, bytes: Uint8Array): Promise<string> {
  const digest = createHash('sha256').update(bytes).digest('hex');
  if (await files.isThere(digest, bytes.byteLength)) return digest;
  await removedOnFailure(files.disk, temporary, async () => {
    await writeSynced(files.disk, temporary, (file) => file.write(bytes, 0));
    await files.place(temporary, digest);
  });
  return digest;
}

/** Gives the digest; with `only`, a source of another digest is not stored. */
function putStream(
  files: BlobFiles,
  temporary: string,
  source: AsyncIterable<Uint8Array>,
  only?: string,
): Promise<string> {
  return removedOnFailure(files.disk, temporary, async () => {
    const hash = createHash('sha256');
    let bytes = 0;
    const see = (piece: Uint8Array) => {
      hash.update(piece);
      bytes += piece.byteLength;
    };
    await writeSynced(files.disk, temporary, (file) => writeStream(file.write, 0, source, see));
    const digest = hash.digest('hex');
    const unwanted = only !== undefined && digest !== only;
    if (unwanted || (await files.isThere(digest, bytes))) await files.disk.remove(temporary);
    else await files.place(temporary, digest);
    return digest;
  });
}

async function removedOnFailure<T>(disk: Disk, path: string, body: () => Promise<T>): Promise<T> {
  try {
    return await body();
  } catch (error) {
    await disk.remove(path).catch(() => undefined);
    throw error;
  }
}

async function writeSynced(disk: Disk, path: string, fill: (file: DiskFile) => Promise<void>): Promise<void> {
  const file = await disk.open(path, 'write');
  try {
    await fill(file);
    await file.sync();
  } finally {
    await file.close();
  }
}

async function get(files: BlobFiles, digest: string): Promise<Uint8Array> {
  const path = files.pathOf(digest);
  const bytes = await missingIsCorrupt(files, digest, files.disk.read(path));
  const found = createHash('sha256').update(bytes).digest('hex');
  if (found !== digest) throw damaged(files, digest, found);
  return bytes;
}

async function* stream(
  files: BlobFiles,
  digest: string,
  range?: ByteRange,
  use?: PieceUse,
): AsyncGenerator<Uint8Array> {
  // Behind the end of a file nothing is read.
  const end = range === undefined ? ((await files.sizeOf(digest)) ?? 0) : range.offset + range.length;
  const file = await missingIsCorrupt(files, digest, files.disk.open(files.pathOf(digest), 'read'));
  try {
    const blocks = readBlocks(file, range?.offset ?? 0, end, use);
    yield* range === undefined ? checked(files, digest, blocks) : blocks;
  } finally {
    await file.close();
  }
}

/** Holds the last block back until all of them have the digest. */
async function* checked(
  files: BlobFiles,
  digest: string,
  blocks: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  const hash = createHash('sha256');
  let held: Uint8Array | undefined;
  for await (const block of blocks) {
    hash.update(block);
    if (held !== undefined) yield held;
    held = block;
  }
  const found = hash.digest('hex');
  if (found !== digest) throw damaged(files, digest, found);
  if (held !== undefined) yield held;
}

async function list({ disk, folder }: BlobFiles): Promise<string[]> {
  const shards = (await disk.list(folder)).filter((name) => /^[0-9a-f]{2}$/.test(name));
  const names = await Promise.all(shards.map((shard) => disk.list(within(folder, shard))));
  return names.flat().filter(isDigest).sort();
}

async function missingIsCorrupt<T>(files: BlobFiles, digest: string, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw isMissing(error) ? runCorrupt(`blob ${digest} is missing`, files.where, error) : error;
  }
}

function damaged(files: BlobFiles, digest: string, found: string): Error {
  return runCorrupt(`blob ${digest} is damaged: its bytes have SHA-256 ${found}`, files.where);
}
