/**
 * Files by SHA-256 in the origin's private file system: streamed in once, checked, and there on the next visit. A download that
 * was cut off goes on where it stopped. It knows neither models nor the coordinator.
 */

import { HeadwaterError } from '@headwater/base/errors.ts';
import { portableHasher } from '@headwater/client/hashing.ts';
import type { BlobSink, FetchBlob, Hasher } from '@headwater/client/ports.ts';
import { accessHandle, openReader, type Reader, storageFailed } from './reader.ts';

export interface BlobName {
  readonly digest: string;
  readonly bytes: number;
}

/** Something computed from blobs: its name says from which, and how. */
export interface MadeName {
  readonly name: string;
  readonly bytes: number;
}

export type WriteAt = (bytes: Uint8Array, offsetBytes: number) => void;

export interface BlobStore {
  /** Whole, and checked when it was written. */
  has(blob: BlobName): Promise<boolean>;
  /** Fetches what is not there. Tabs that want the same wait for the first. `fetched`: whether anything had to be. */
  ensure(blob: BlobName, fetchBlob: FetchBlob, signal?: AbortSignal): Promise<{ readonly fetched: boolean }>;
  /** As `ensure`, for what is computed here: `fill` writes every byte of it. */
  make(blob: MadeName, fill: (write: WriteAt) => Promise<void>): Promise<{ readonly made: boolean }>;
  open(name: string): Promise<Reader>;
  read(digest: string): Promise<Uint8Array<ArrayBuffer>>;
  /** Of everything that is there, begun downloads included. */
  storedBytes(): Promise<number>;
  /** Forgets all but the blobs that are named. */
  clear(except?: ReadonlySet<string>): Promise<void>;
}

const FOLDER = 'headwater-blobs';
/** An empty file of this name says that the blob beside it is whole and has its digest. */
const whole = (digest: string) => `${digest}.ok`;
/** Left free for everything else that this page stores. */
const SPARE_BYTES = 64e6;

/** Throws STORAGE_FAILED, as all of its calls do. */
export async function openBlobStore(): Promise<BlobStore> {
  const folder = await privateFolder();
  const store: BlobStore = {
    async has({ digest, bytes }) {
      if ((await fileIn(folder, whole(digest))) === undefined) return false;
      const file = await fileIn(folder, digest);
      return file !== undefined && (await file.getFile()).size === bytes;
    },
    async ensure(blob, fetchBlob, signal) {
      const options = signal === undefined ? {} : { signal };
      return navigator.locks.request(`${FOLDER}/${blob.digest}`, options, async () => {
        if (await store.has(blob)) return { fetched: false };
        await fetchInto(folder, blob, fetchBlob, signal);
        return { fetched: true };
      });
    },
    async make({ name, bytes }, fill) {
      return navigator.locks.request(`${FOLDER}/${name}`, async () => {
        if (await store.has({ digest: name, bytes })) return { made: false };
        await makeInto(folder, { name, bytes }, fill);
        return { made: true };
      });
    },
    async open(digest) {
      const file = (await fileIn(folder, whole(digest))) && (await fileIn(folder, digest));
      if (file === undefined) throw missing(digest);
      return openReader(file);
    },
    async read(digest) {
      const reader = await store.open(digest);
      try {
        const bytes = new Uint8Array(reader.sizeBytes);
        reader.readInto(bytes, 0);
        return bytes;
      } finally {
        reader.close();
      }
    },
    async storedBytes() {
      let total = 0;
      for await (const entry of folder.values())
        if (entry.kind === 'file') total += (await (entry as FileSystemFileHandle).getFile()).size;
      return total;
    },
    async clear(except = new Set()) {
      for await (const name of folder.keys())
        if (!except.has(name.split('.')[0]!)) await folder.removeEntry(name);
    },
  };
  return store;
}

async function privateFolder(): Promise<FileSystemDirectoryHandle> {
  try {
    const root = await navigator.storage.getDirectory();
    return await root.getDirectoryHandle(FOLDER, { create: true });
  } catch (cause) {
    throw storageFailed('this browser gives the page no private files', FOLDER, cause);
  }
}

async function fileIn(
  folder: FileSystemDirectoryHandle,
  name: string,
): Promise<FileSystemFileHandle | undefined> {
  try {
    return await folder.getFileHandle(name);
  } catch (cause) {
    if ((cause as { name?: string }).name === 'NotFoundError') return undefined;
    throw storageFailed('cannot look for a file', name, cause);
  }
}

function missing(digest: string): HeadwaterError {
  return new HeadwaterError('STORAGE_FAILED', 'a stored file of the model is gone', {
    where: digest,
    hint: 'The browser removed it to save space. Load the model again.',
  });
}

async function fetchInto(
  folder: FileSystemDirectoryHandle,
  blob: BlobName,
  fetchBlob: FetchBlob,
  signal: AbortSignal | undefined,
): Promise<void> {
  const file = await newFile(folder, blob.digest);
  const access = await accessHandle(file, 'readwrite');
  try {
    await checkSpace(blob.bytes - access.getSize());
    await fetchBlob(blob, sinkOf(access, blob.digest), signal);
    flush(access, blob.digest);
  } finally {
    access.close();
  }
  await newFile(folder, whole(blob.digest));
}

async function newFile(folder: FileSystemDirectoryHandle, name: string): Promise<FileSystemFileHandle> {
  try {
    return await folder.getFileHandle(name, { create: true });
  } catch (cause) {
    throw storageFailed('cannot make a file', name, cause);
  }
}

function flush(access: FileSystemSyncAccessHandle, where: string): void {
  try {
    access.flush();
  } catch (cause) {
    throw storageFailed('cannot write to the end', where, cause);
  }
}

async function makeInto(
  folder: FileSystemDirectoryHandle,
  { name, bytes }: MadeName,
  fill: (write: WriteAt) => Promise<void>,
): Promise<void> {
  await checkSpace(bytes);
  const access = await accessHandle(await newFile(folder, name), 'readwrite');
  try {
    access.truncate(0);
    await fill((piece, offsetBytes) => writeAt(access, piece, offsetBytes, name));
    flush(access, name);
  } finally {
    access.close();
  }
  await newFile(folder, whole(name));
}

function writeAt(
  access: FileSystemSyncAccessHandle,
  bytes: Uint8Array,
  offsetBytes: number,
  where: string,
): void {
  try {
    access.write(bytes as Uint8Array<ArrayBuffer>, { at: offsetBytes });
  } catch (cause) {
    throw storageFailed('cannot write', where, cause);
  }
}

/** Said before gigabytes were loaded in vain. What browsers tell is an estimate: without one, writing decides. */
async function checkSpace(neededBytes: number): Promise<void> {
  const { quota, usage } = await navigator.storage.estimate();
  if (quota === undefined || usage === undefined || quota - usage >= neededBytes + SPARE_BYTES) return;
  const megabytes = (bytes: number) => `${Math.ceil(bytes / 1e6)} MB`;
  throw new HeadwaterError(
    'STORAGE_FAILED',
    `the model needs ${megabytes(neededBytes)} and ${megabytes(SPARE_BYTES)} to spare, the browser has ${megabytes(Math.max(0, quota - usage))} left for this page`,
    { hint: 'Free disk space, leave private browsing, or use another browser. Nothing was lost.' },
  );
}

/** Bytes are hashed as they come; those of an earlier visit are read once, at the end. */
function sinkOf(access: FileSystemSyncAccessHandle, where: string): BlobSink {
  let have = access.getSize();
  let hash: Hasher | undefined = have === 0 ? portableHasher() : undefined;
  return {
    get have() {
      return have;
    },
    async write(piece) {
      writeAt(access, piece, have, where);
      have += piece.byteLength;
      hash?.update(piece);
    },
    async reset() {
      access.truncate(0);
      have = 0;
      hash = portableHasher();
    },
    async digest() {
      const complete = hash ?? hashOf(access, have);
      hash = undefined;
      return complete.hex();
    },
  };
}

const PIECE_BYTES = 4 * 2 ** 20;

function hashOf(access: FileSystemSyncAccessHandle, sizeBytes: number): Hasher {
  const hash = portableHasher();
  const buffer = new Uint8Array(Math.min(PIECE_BYTES, sizeBytes));
  for (let at = 0; at < sizeBytes; at += PIECE_BYTES) {
    const piece = buffer.subarray(0, Math.min(PIECE_BYTES, sizeBytes - at));
    access.read(piece, { at });
    hash.update(piece);
  }
  return hash;
}
