/** Reading files of the origin's private file system by position, synchronously, from a worker. */

import { HeadwaterError, messageOf } from '@headwater/base/errors.ts';

export interface Reader {
  readonly sizeBytes: number;
  /** Fills `into` from a position. Throws STORAGE_FAILED where the file ends before. */
  readInto(into: Uint8Array, offsetBytes: number): void;
  close(): void;
}

/** Several at a time, in any tab, where the browser allows readers beside each other. */
export async function openReader(file: FileSystemFileHandle): Promise<Reader> {
  const access = await accessHandle(file, 'read-only');
  return {
    sizeBytes: access.getSize(),
    readInto(into, offsetBytes) {
      const read = access.read(into, { at: offsetBytes });
      if (read !== into.byteLength)
        throw new HeadwaterError(
          'STORAGE_FAILED',
          `${into.byteLength} bytes were expected at ${offsetBytes}, there are ${read}`,
          {
            where: file.name,
            hint: 'Clear the stored model and load it again.',
          },
        );
    },
    close: () => access.close(),
  };
}

/** Throws STORAGE_FAILED: another tab writes it, or the browser has no such files (a private window of some). */
export async function accessHandle(
  file: FileSystemFileHandle,
  mode: 'read-only' | 'readwrite',
): Promise<FileSystemSyncAccessHandle> {
  try {
    // Browsers that do not know modes open for reading and writing.
    const open = file.createSyncAccessHandle as (options: {
      mode: string;
    }) => Promise<FileSystemSyncAccessHandle>;
    return await open.call(file, { mode });
  } catch (cause) {
    throw storageFailed(`cannot open: ${messageOf(cause)}`, file.name, cause);
  }
}

export function storageFailed(message: string, where: string, cause?: unknown): HeadwaterError {
  const isFull = (cause as { name?: string } | undefined)?.name === 'QuotaExceededError';
  return new HeadwaterError(
    'STORAGE_FAILED',
    isFull ? 'the browser has no storage left for this page' : message,
    {
      where,
      cause,
      hint: isFull
        ? 'Free disk space, or remove data of other sites in the browser’s settings, and try again: what is there already is kept.'
        : 'Close other tabs of this page, leave private browsing, and try again.',
    },
  );
}
