/**
 * The Disk of Node: files below one folder. Handing an operation over to another thread and back costs more than most of
 * them, so that only what may take long is handed over: flushes, and the moving of many bytes. It knows nothing of what
 * files hold.
 */

import * as fs from 'node:fs';
import { isMainThread } from 'node:worker_threads';
import { syncFolder } from '../base/durable-node.ts';
import { assert } from '../base/errors.ts';
import { systemErrorCode } from '../base/io-errors.ts';
import { makeFolder } from '../base/make-folder-node.ts';
import type { Disk, DiskFile } from './disk.ts';

export interface NodeDiskOptions {
  /** `none` flushes nothing: for measurements only. */
  readonly durability?: 'full' | 'none';
  /**
   * `short`: what is done at once, holding up the thread, are operations on names and on few bytes. `all`: everything, for
   * threads that nobody else waits for. Default: `all` outside the main thread.
   */
  readonly blocking?: 'short' | 'all';
}

const { O_APPEND, O_CREAT, O_RDONLY, O_RDWR, O_WRONLY } = fs.constants;
const FLAGS = { read: O_RDONLY, write: O_RDWR | O_CREAT, append: O_WRONLY | O_CREAT | O_APPEND };

/** Of as many bytes the file system makes a copy in less time than a hand-over takes; reading may have to wait for the disk. */
const FEW_BYTES = { read: 2 ** 16, written: 2 ** 18 };

export function nodeDisk(root: string, options: NodeDiskOptions = {}): Disk {
  const { durability, blocking = isMainThread ? 'short' : 'all' } = options;
  const durable = durability !== 'none';
  const operations = operationsOf(blocking);
  const full = (path: string) => {
    const outside = path.startsWith('/') || path.split(/[\\/]/).includes('..');
    assert(!outside, `"${path}" is no path below "${root}"`);
    return `${root}/${path}`;
  };
  const open = (path: string, mode: keyof typeof FLAGS) =>
    fileOver(fs.openSync(full(path), FLAGS[mode]), operations, mode === 'append', durable);
  return {
    makeFolder: (path) => makeFolder(full(path)),
    list: async (path) => (ifThere(() => fs.readdirSync(full(path))) ?? []).sort(),
    async stat(path) {
      const found = ifThere(() => fs.statSync(full(path)));
      return found && { bytes: found.size, modifiedMs: Math.floor(found.mtimeMs) };
    },
    async read(path) {
      const file = open(path, 'read');
      try {
        return await file.read(0, fs.statSync(full(path)).size);
      } finally {
        await file.close();
      }
    },
    open: async (path, mode) => open(path, mode),
    rename: async (from, to) => fs.renameSync(full(from), full(to)),
    remove: (path) => operations.remove(full(path)),
    truncate: async (path, bytes) => fs.truncateSync(full(path), bytes),
    syncFolder: async (path) => {
      if (durable) await syncFolder(full(path));
    },
  };
}

function ifThere<T>(find: () => T): T | undefined {
  try {
    return find();
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

function isMissing(error: unknown): boolean {
  return systemErrorCode(error) === 'ENOENT';
}

/** The number of bytes that were moved, fewer than asked for at the end of a file or of the disk. */
type Move = (file: number, buffer: Uint8Array, position: number | null) => Promise<number>;

interface Operations {
  readonly read: Move;
  readonly write: Move;
  readonly sync: (file: number) => Promise<void>;
  /** Of a file that need not be there. A file system may have much to give back. */
  readonly remove: (path: string) => Promise<void>;
}

function operationsOf(blocking: 'short' | 'all'): Operations {
  const isShort = (bytes: number, few: number) => blocking === 'all' || bytes <= few;
  return {
    read: async (file, buffer, position) =>
      isShort(buffer.byteLength, FEW_BYTES.read)
        ? fs.readSync(file, buffer, { position })
        : handedOver((done) => fs.read(file, buffer, 0, buffer.byteLength, position, done)),
    write: async (file, buffer, position) =>
      isShort(buffer.byteLength, FEW_BYTES.written)
        ? fs.writeSync(file, buffer, 0, buffer.byteLength, position)
        : handedOver((done) => fs.write(file, buffer, 0, buffer.byteLength, position, done)),
    sync: async (file) => {
      if (blocking === 'all') fs.fsyncSync(file);
      else await handedOver((done) => fs.fsync(file, (error) => done(error, undefined)));
    },
    remove: async (path) => {
      if (blocking === 'all') ifThere(() => fs.unlinkSync(path));
      else
        await handedOver((done) =>
          fs.unlink(path, (error) => done(isMissing(error) ? null : error, undefined)),
        );
    },
  };
}

function handedOver<T>(start: (done: (error: Error | null, result: T) => void) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    start((error, result) => (error === null || error === undefined ? resolve(result) : reject(error)));
  });
}

function fileOver(file: number, operations: Operations, append: boolean, durable: boolean): DiskFile {
  return {
    read: (offset, length, into) => readFully(operations.read, file, offset, length, into),
    write: (bytes, offset) => writeFully(operations.write, file, bytes, append ? null : (offset ?? 0)),
    sync: async () => {
      if (durable) await operations.sync(file);
    },
    close: async () => fs.closeSync(file),
  };
}

async function readFully(
  read: Move,
  file: number,
  offset: number,
  length: number,
  into: Uint8Array = Buffer.allocUnsafe(length),
): Promise<Uint8Array> {
  const buffer = into.subarray(0, length);
  let filled = 0;
  while (filled < length) {
    const moved = await read(file, buffer.subarray(filled), offset + filled);
    if (moved === 0) break;
    filled += moved;
  }
  return buffer.subarray(0, filled);
}

/** A nearly full disk takes a part and fails at the next part. */
async function writeFully(
  write: Move,
  file: number,
  bytes: Uint8Array,
  offset: number | null,
): Promise<void> {
  let written = 0;
  while (written < bytes.byteLength)
    written += await write(file, bytes.subarray(written), offset === null ? null : offset + written);
}
