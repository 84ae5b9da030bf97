/**
 * The owner's files, copied into the origin's private file system so that a reload goes on without asking for them again. They
 * are read here and nowhere else.
 */

import { HeadwaterError } from '@headwater/base/errors.ts';
import { formatBytes } from '@headwater/base/format.ts';
import type { DataFile } from '@headwater/data/dataset.ts';
import type { RowSource } from '@headwater/data/readers/reader.ts';
import { readerFor } from '@headwater/data/readers/registry.ts';
import { accessHandle, storageFailed } from '../../engine/worker/reader.ts';
import type { OwnerFile } from '../messages.ts';

/** All examples are in memory while they are tokenized. */
const MAX_BYTES = 512e6;
const SNIFFED_BYTES = 64 * 1024;
const FOLDER = 'headwater-data';

/** Throws DATA_INVALID: a file that cannot be the owner's data, said before it is copied. */
export async function checkFile(file: File): Promise<void> {
  const refuse = (message: string, hint: string) => {
    throw new HeadwaterError('DATA_INVALID', message, { where: file.name, hint });
  };
  if (file.size === 0) refuse('the file is empty', 'Choose another one.');
  if (file.size > MAX_BYTES)
    refuse(
      `the file has ${formatBytes(file.size)}, a tab takes at most ${formatBytes(MAX_BYTES)}`,
      'Take a part of it, or join with the command line, which has more memory.',
    );
  const id = formatOf(file.name);
  if (id !== 'parquet' && !file.name.toLowerCase().endsWith('.gz') && (await isBinary(file)))
    refuse(
      'this is no text file',
      'JSON lines, JSON, CSV, TSV and TXT are text in UTF-8; Parquet files end in .parquet.',
    );
}

function formatOf(name: string): string {
  try {
    return readerFor(name).id;
  } catch (cause) {
    throw new HeadwaterError('DATA_INVALID', 'the ending of the file’s name does not say what is in it', {
      where: name,
      cause,
      hint: 'Files may end in .jsonl, .json, .csv, .tsv, .parquet or .txt, each also with .gz.',
    });
  }
}

/** A zero byte, or what is no UTF-8. */
async function isBinary(file: File): Promise<boolean> {
  const start = new Uint8Array(await file.slice(0, SNIFFED_BYTES).arrayBuffer());
  if (start.includes(0)) return true;
  try {
    // A character may be cut at the end.
    new TextDecoder('utf-8', { fatal: true }).decode(start, { stream: true });
    return false;
  } catch {
    return true;
  }
}

/** Throws STORAGE_FAILED. */
export async function keepFile(seat: string, id: string, file: File): Promise<void> {
  const folder = await folderOf(seat);
  try {
    const access = await accessHandle(await folder.getFileHandle(id, { create: true }), 'readwrite');
    try {
      access.truncate(0);
      const reader = file.stream().getReader();
      for (let at = 0; ; ) {
        const { value, done } = await reader.read();
        if (done) break;
        at += access.write(value, { at });
      }
      access.flush();
    } finally {
      access.close();
    }
  } catch (cause) {
    await folder.removeEntry(id).catch(() => undefined);
    throw cause instanceof HeadwaterError ? cause : storageFailed('cannot keep the file', file.name, cause);
  }
}

export async function removeFile(seat: string, id: string): Promise<void> {
  await (await folderOf(seat)).removeEntry(id).catch(() => undefined);
}

export async function removeFiles(seat: string): Promise<void> {
  const root = await rootFolder();
  await root.removeEntry(seat, { recursive: true }).catch(() => undefined);
}

/** Throws DATA_INVALID when the browser has removed it. */
export async function openFile(seat: string, { id, name }: OwnerFile): Promise<DataFile> {
  const folder = await folderOf(seat);
  const handle = await folder.getFileHandle(id).catch((cause) => {
    throw new HeadwaterError('DATA_NOT_FOUND', 'the browser no longer has this file', {
      where: name,
      cause,
      hint: 'Remove it from the list and choose it again.',
    });
  });
  return { source: sourceOf(name, handle), reader: readerFor(name) };
}

function sourceOf(name: string, handle: FileSystemFileHandle): RowSource {
  async function* chunks(): AsyncGenerator<Uint8Array> {
    const file = (await handle.getFile()).stream() as ReadableStream<Uint8Array<ArrayBuffer>>;
    const isPacked = name.toLowerCase().endsWith('.gz');
    const reader = (isPacked ? file.pipeThrough(new DecompressionStream('gzip')) : file).getReader();
    for (;;) {
      const { value, done } = await reader.read().catch((cause) => {
        throw new HeadwaterError('DATA_INVALID', 'the gzip archive is cut or damaged', {
          where: name,
          cause,
          hint: 'Copy or download the file again.',
        });
      });
      if (done) return;
      yield value;
    }
  }
  return { name, chunks };
}

async function rootFolder(): Promise<FileSystemDirectoryHandle> {
  try {
    return await (await navigator.storage.getDirectory()).getDirectoryHandle(FOLDER, { create: true });
  } catch (cause) {
    throw storageFailed('this browser gives the page no private files', FOLDER, cause);
  }
}

async function folderOf(seat: string): Promise<FileSystemDirectoryHandle> {
  return (await rootFolder()).getDirectoryHandle(seat, { create: true });
}
