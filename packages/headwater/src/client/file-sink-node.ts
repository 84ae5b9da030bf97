/** A download that lands in a file: goes on behind what an earlier process left, and gets its name when it is whole. */

import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, rename, stat } from 'node:fs/promises';
import { storageError } from '../base/io-errors.ts';
import type { BlobSink } from './ports.ts';

export interface FileSink extends BlobSink {
  /** Gives the file its name. Durable. */
  finish(path: string): Promise<void>;
  close(): Promise<void>;
}

/** Throws STORAGE_FAILED, as all of its calls do. */
export async function openFileSink(partial: string): Promise<FileSink> {
  const attempt = async <T>(act: () => Promise<T>): Promise<T> => {
    try {
      return await act();
    } catch (cause) {
      throw storageError(cause, 'write the download', partial);
    }
  };
  const handle = await attempt(() => open(partial, 'a'));
  let have = (await attempt(() => stat(partial))).size;
  return {
    get have() {
      return have;
    },
    write: (piece) =>
      attempt(async () => {
        await handle.appendFile(piece);
        have += piece.byteLength;
      }),
    reset: () =>
      attempt(async () => {
        await handle.truncate(0);
        have = 0;
      }),
    digest: () =>
      attempt(async () => {
        const hash = createHash('sha256');
        for await (const piece of createReadStream(partial)) hash.update(piece as Uint8Array);
        return hash.digest('hex');
      }),
    finish: (path) =>
      attempt(async () => {
        await handle.sync();
        await rename(partial, path);
      }),
    close: () => handle.close(),
  };
}

/** SHA-256 of a file; undefined when there is none. */
export async function fileDigest(path: string): Promise<string | undefined> {
  if (!(await stat(path).catch(() => undefined))?.isFile()) return undefined;
  const hash = createHash('sha256');
  try {
    for await (const piece of createReadStream(path)) hash.update(piece as Uint8Array);
  } catch (cause) {
    throw storageError(cause, 'read', path);
  }
  return hash.digest('hex');
}
