/**
 * The default Blobs: one file per blob, `ab/abcdef….`, written to a temporary name, flushed and renamed, so that a file
 * under its final name is always whole. Any number of threads and processes may share one folder.
 */

import { createHash, randomUUID } from 'node:crypto';
import { readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { syncFolder, writeSynced } from '../base/durable-node.ts';
import { assert } from '../base/errors.ts';
import { storageError } from '../base/io-errors.ts';
import { makeFolder } from '../base/make-folder-node.ts';
import type { Blobs } from './blobs.ts';
import { runCorrupt } from './failures.ts';
import { memoryBlobs } from './memory-blobs.ts';

const DIGEST = /^[0-9a-f]{64}$/;

/** Makes the folder when needed. */
export async function openFileBlobs(folder: string): Promise<Blobs> {
  await guarded('make the blob folder', folder, () => makeFolder(folder));
  const fileOf = (digest: string) => {
    assert(DIGEST.test(digest), `"${digest}" is no SHA-256`);
    return join(folder, digest.slice(0, 2), digest);
  };
  const waiting = memoryBlobs();
  return {
    put: (bytes) => put(bytes, folder, fileOf),
    async putStream(source) {
      const parts: Uint8Array[] = [];
      for await (const piece of source) parts.push(piece.slice());
      return put(Buffer.concat(parts), folder, fileOf);
    },
    get: (digest) => get(digest, fileOf(digest)),
    async *stream(digest, range) {
      const bytes = await get(digest, fileOf(digest));
      const end = range === undefined ? bytes.byteLength : range.offset + range.length;
      for (let at = range?.offset ?? 0; at < Math.min(end, bytes.byteLength); at += 2 ** 20)
        yield bytes.subarray(at, Math.min(end, at + 2 ** 20));
    },
    size: (digest) => sizeOfFile(fileOf(digest)),
    uploads: {
      ...waiting.uploads,
      async seal(plan) {
        if (await exists(fileOf(plan.digest))) return plan.digest;
        return put(await waiting.get(await waiting.uploads.seal(plan)), folder, fileOf);
      },
    },
    has: (digest) => exists(fileOf(digest)),
    delete: (digest) => guarded('delete a blob', folder, () => rm(fileOf(digest), { force: true })),
    list: () => guarded('list the blobs', folder, () => list(folder)),
  };
}

async function put(bytes: Uint8Array, folder: string, fileOf: (digest: string) => string): Promise<string> {
  const digest = sha256(bytes);
  const path = fileOf(digest);
  // A file of another size can only be damage from outside: write it anew.
  if ((await sizeOfFile(path)) === bytes.byteLength) return digest;
  await guarded('write a blob', path, async () => {
    const shard = join(folder, digest.slice(0, 2));
    const temporary = join(folder, `tmp-${randomUUID()}`);
    await makeFolder(shard);
    try {
      await writeSynced(temporary, bytes);
      await rename(temporary, path);
      await syncFolder(shard);
    } catch (error) {
      await rm(temporary, { force: true });
      throw error;
    }
  });
  return digest;
}

async function get(digest: string, path: string): Promise<Uint8Array> {
  const bytes = await guarded('read a blob', path, async () => {
    try {
      return await readFile(path);
    } catch (error) {
      if (isMissing(error)) throw runCorrupt(`blob ${digest} is missing`, path, error);
      throw error;
    }
  });
  const found = sha256(bytes);
  if (found !== digest) throw runCorrupt(`blob ${digest} is damaged: its bytes have SHA-256 ${found}`, path);
  return bytes;
}

async function list(folder: string): Promise<string[]> {
  const names = await readdir(folder, { recursive: true });
  return names
    .map((name) => name.split(/[\\/]/).at(-1) ?? '')
    .filter((name) => DIGEST.test(name))
    .sort();
}

async function sizeOfFile(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw storageError(error, 'look for a blob', path);
  }
}

async function exists(path: string): Promise<boolean> {
  return (await sizeOfFile(path)) !== undefined;
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function isMissing(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === 'ENOENT';
}

async function guarded<T>(action: string, path: string, body: () => Promise<T>): Promise<T> {
  try {
    return await body();
  } catch (error) {
    throw storageError(error, action, path);
  }
}
