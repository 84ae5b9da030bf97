/** The Disk of Node: files below one folder. It knows nothing of what they hold. */

import { constants } from 'node:fs';
import { type FileHandle, open, readdir, readFile, rename, stat, truncate, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { syncFolder } from '../base/durable-node.ts';
import { assert } from '../base/errors.ts';
import { systemErrorCode } from '../base/io-errors.ts';
import { makeFolder } from '../base/make-folder-node.ts';
import type { Disk, DiskFile } from './disk.ts';

export interface NodeDiskOptions {
  /** `none` flushes nothing: for measurements only. */
  readonly durability?: 'full' | 'none';
}

const FLAGS = {
  read: constants.O_RDONLY,
  write: constants.O_RDWR | constants.O_CREAT,
  append: constants.O_WRONLY | constants.O_CREAT | constants.O_APPEND,
};

export function nodeDisk(root: string, options: NodeDiskOptions = {}): Disk {
  const durable = options.durability !== 'none';
  const full = (path: string) => {
    const outside = path.startsWith('/') || path.split(/[\\/]/).includes('..');
    assert(!outside, `"${path}" is no path below "${root}"`);
    return join(root, path);
  };
  return {
    makeFolder: (path) => makeFolder(full(path)),
    async list(path) {
      const names = await ifThere(readdir(full(path)));
      return (names ?? []).sort();
    },
    async stat(path) {
      const found = await ifThere(stat(full(path)));
      return found && { bytes: found.size, modifiedMs: Math.floor(found.mtimeMs) };
    },
    read: (path) => readFile(full(path)),
    open: async (path, mode) => fileOver(await open(full(path), FLAGS[mode]), mode === 'append', durable),
    rename: (from, to) => rename(full(from), full(to)),
    // Not `rm`, which looks first: thousands of uploads are removed in a round.
    remove: (path) => ifThere(unlink(full(path))),
    truncate: (path, bytes) => truncate(full(path), bytes),
    syncFolder: async (path) => {
      if (durable) await syncFolder(full(path));
    },
  };
}

async function ifThere<T>(found: Promise<T>): Promise<T | undefined> {
  try {
    return await found;
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

function fileOver(handle: FileHandle, append: boolean, durable: boolean): DiskFile {
  return {
    read: (offset, length, into) => readFully(handle, offset, length, into),
    write: (bytes, offset) => writeFully(handle, bytes, append ? null : (offset ?? 0)),
    sync: async () => {
      if (durable) await handle.sync();
    },
    close: () => handle.close(),
  };
}

async function readFully(
  handle: FileHandle,
  offset: number,
  length: number,
  into: Uint8Array = Buffer.allocUnsafe(length),
): Promise<Uint8Array> {
  const buffer = into.subarray(0, length);
  let filled = 0;
  while (filled < length) {
    const { bytesRead } = await handle.read(buffer, filled, length - filled, offset + filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return buffer.subarray(0, filled);
}

/** A nearly full disk takes a part and fails at the next part. */
async function writeFully(handle: FileHandle, bytes: Uint8Array, offset: number | null): Promise<void> {
  let written = 0;
  while (written < bytes.byteLength) {
    const position = offset === null ? null : offset + written;
    const { bytesWritten } = await handle.write(bytes, written, bytes.byteLength - written, position);
    written += bytesWritten;
  }
}
