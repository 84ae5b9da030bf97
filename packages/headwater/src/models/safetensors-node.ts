/**
 * safetensors files on disk: headers and single tensors are read by position, never whole files; writing is atomic
 * (temporary name, fsync, rename). The format itself lives in `safetensors.ts`.
 */

import { type FileHandle, open, realpath, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { HeadwaterError } from '../base/errors.ts';
import { storageError } from '../base/io-errors.ts';
import { bytesOf, type Tensor } from '../base/tensor.ts';
import { layoutSafetensors, tensorOf } from './safetensors.ts';
import type { SafetensorsMode } from './safetensors-format.ts';
import {
  parseSafetensorsHeader,
  type SafetensorsHeader,
  safetensorsHeaderBytes,
} from './safetensors-header.ts';

export interface SafetensorsFile extends SafetensorsHeader {
  /** Absolute, links resolved. */
  readonly path: string;
  readonly fileBytes: number;
}

/**
 * Reads and validates the header of a file; no handle stays open.
 * Throws SAFETENSORS_INVALID, or STORAGE_FAILED when it cannot be read.
 */
export async function openSafetensors(
  path: string,
  mode: SafetensorsMode = 'model',
): Promise<SafetensorsFile> {
  return withFile(path, async (handle) => {
    const fileBytes = (await handle.stat()).size;
    const start = await readExactly(handle, 0, Math.min(8, fileBytes), path);
    const options = { mode, where: path };
    const headerBytes = safetensorsHeaderBytes(start, fileBytes, options);
    const bytes = await readExactly(handle, 0, 8 + headerBytes, path);
    const header = parseSafetensorsHeader(bytes, fileBytes, options);
    return { ...header, path: await realpath(path), fileBytes };
  });
}

/** One tensor of an opened file; throws SAFETENSORS_INVALID when it is absent or has an unsupported dtype. */
async function readTensor(
  file: SafetensorsFile,
  name: string,
  mode: SafetensorsMode = 'model',
): Promise<Tensor> {
  const entry = file.entries.get(name);
  if (entry === undefined)
    throw new HeadwaterError('SAFETENSORS_INVALID', `there is no tensor "${name}"`, { where: file.path });
  const data = await readBytes(file.path, entry.offsetBytes, entry.lengthBytes);
  return tensorOf(entry, data, { mode, where: file.path });
}

/** Every tensor of a file (adapters, optimizer states, references: small files). */
export async function readSafetensors(
  path: string,
  mode: SafetensorsMode = 'model',
): Promise<{ tensors: Map<string, Tensor>; metadata: ReadonlyMap<string, string> }> {
  const file = await openSafetensors(path, mode);
  const tensors = new Map<string, Tensor>();
  for (const name of file.entries.keys()) tensors.set(name, await readTensor(file, name, mode));
  return { tensors, metadata: file.metadata };
}

/** `lengthBytes` bytes at a position, into a buffer of their own; throws STORAGE_FAILED. */
export async function readBytes(path: string, offsetBytes: number, lengthBytes: number): Promise<Uint8Array> {
  return withFile(path, (handle) => readExactly(handle, offsetBytes, lengthBytes, path));
}

/** The bytes of a range in pieces of at most `chunkBytes`; the same buffer is reused for every piece. */
export async function* streamBytes(
  path: string,
  offsetBytes: number,
  lengthBytes: number,
  chunkBytes = 4 * 1024 * 1024,
): AsyncGenerator<Uint8Array> {
  const handle = await openForReading(path);
  try {
    const buffer = new Uint8Array(Math.min(chunkBytes, lengthBytes));
    for (let done = 0; done < lengthBytes; ) {
      const piece = buffer.subarray(0, Math.min(buffer.byteLength, lengthBytes - done));
      await fill(handle, piece, offsetBytes + done, path);
      yield piece;
      done += piece.byteLength;
    }
  } finally {
    await handle.close();
  }
}

/**
 * Writes a file that is either whole or absent: temporary name in the same folder, fsync, rename.
 * Throws STORAGE_FAILED (disk full, no permission) and leaves nothing behind.
 */
export async function writeSafetensorsFile(
  path: string,
  tensors: ReadonlyMap<string, Tensor>,
  metadata?: ReadonlyMap<string, string>,
): Promise<void> {
  const { header, order } = layoutSafetensors(tensors, metadata);
  const temporary = join(dirname(path), `.${basename(path)}.${process.pid}.tmp`);
  try {
    const handle = await open(temporary, 'w');
    try {
      await handle.writeFile(header);
      for (const name of order) await handle.writeFile(bytesOf(tensors.get(name)!.data));
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, path);
  } catch (cause) {
    await rm(temporary, { force: true });
    throw storageError(cause, 'write the file', path);
  }
}

async function openForReading(path: string): Promise<FileHandle> {
  try {
    return await open(path, 'r');
  } catch (cause) {
    throw storageError(cause, 'read the file', path);
  }
}

async function withFile<T>(path: string, use: (handle: FileHandle) => Promise<T>): Promise<T> {
  const handle = await openForReading(path);
  try {
    return await use(handle);
  } catch (cause) {
    throw storageError(cause, 'read the file', path);
  } finally {
    await handle.close();
  }
}

async function readExactly(
  handle: FileHandle,
  offsetBytes: number,
  lengthBytes: number,
  path: string,
): Promise<Uint8Array> {
  const bytes = new Uint8Array(lengthBytes);
  await fill(handle, bytes, offsetBytes, path);
  return bytes;
}

async function fill(
  handle: FileHandle,
  target: Uint8Array,
  offsetBytes: number,
  path: string,
): Promise<void> {
  for (let done = 0; done < target.byteLength; ) {
    // One read moves at most 2³¹ − 1 bytes on Linux.
    const want = Math.min(target.byteLength - done, 1 << 30);
    const { bytesRead } = await handle.read(target, done, want, offsetBytes + done);
    if (bytesRead === 0)
      throw new HeadwaterError(
        'STORAGE_FAILED',
        `the file ended at ${offsetBytes + done}, expected ${offsetBytes + target.byteLength} bytes`,
        { where: path, hint: 'Another program changed the file while it was read.' },
      );
    done += bytesRead;
  }
}
