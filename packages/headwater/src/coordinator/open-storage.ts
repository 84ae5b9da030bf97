/**
 * Opens what a coordinator or worker keeps its things in, from what a user says: `--store FOLDER` (SQLite and files) or
 * `--store postgres://…` with `--blobs s3://…` or a shared folder. The one place that knows all implementations.
 */

import { HeadwaterError } from '../base/errors.ts';
import { makeFolder, makePrivateFolder } from '../base/make-folder-node.ts';
import type { Blobs } from '../storage/blobs.ts';
import { openFileBlobs } from '../storage/file-blobs.ts';
import { isDatabaseAddress } from '../storage/postgres/address.ts';
import { openPostgresStore } from '../storage/postgres-store.ts';
import { acquireRunLock } from '../storage/run-lock.ts';
import { isBucketAddress } from '../storage/s3/address.ts';
import { openS3Blobs } from '../storage/s3-blobs.ts';
import { openSqliteStore } from '../storage/sqlite-store.ts';
import type { Store } from '../storage/store.ts';
import { storePaths } from './store-folder.ts';

export interface StorageOptions {
  /** A folder, or `postgres://…`. */
  readonly store: string;
  /** A folder, or `s3://…`. Default: in the store's folder. */
  readonly blobs?: string | undefined;
  /** `none` flushes nothing: for measurements only, and not with PostgreSQL or S3. */
  readonly durability?: 'full' | 'none';
}

export interface Storage {
  readonly store: Store;
  readonly blobs: Blobs;
  /** The same for worker threads, which open it themselves: a folder, or `s3://…`. */
  readonly blobPlace: string;
  /** Nobody else can have this store open: it lies in a folder, which is locked. */
  readonly exclusive: boolean;
  close(): Promise<void>;
}

/** Throws OPTION_INVALID, RUN_LOCKED (another process serves the folder), CONNECTION_FAILED, STORAGE_FAILED, RUN_CORRUPT. */
export async function openStorage({ store, blobs, durability = 'full' }: StorageOptions): Promise<Storage> {
  refuseUnknown('store', store, isDatabaseAddress);
  if (blobs !== undefined) refuseUnknown('blobs', blobs, isBucketAddress);
  if (!isDatabaseAddress(store)) return openFolder(store, blobs, durability);
  if (blobs === undefined) throw blobsMissing();
  const opened = await openBlobs(blobs, durability);
  return closingOnFailure(opened.close, async () => {
    const shared = await openPostgresStore(store);
    return {
      store: shared,
      blobs: opened.blobs,
      blobPlace: blobs,
      exclusive: false,
      async close() {
        await shared.close();
        opened.close();
      },
    };
  });
}

async function openFolder(
  folder: string,
  blobsAt: string | undefined,
  durability: 'full' | 'none',
): Promise<Storage> {
  await makeFolder(folder);
  const paths = storePaths(folder);
  const lock = acquireRunLock(paths.lock);
  return closingOnFailure(lock.release, async () => {
    const blobPlace = blobsAt ?? paths.blobs;
    if (blobsAt === undefined) await makePrivateFolder(blobPlace);
    const opened = await openBlobs(blobPlace, durability);
    const store = await openSqliteStore(paths.database, { durability });
    return {
      store,
      blobs: opened.blobs,
      blobPlace,
      exclusive: true,
      async close() {
        await store.close();
        opened.close();
        lock.release();
      },
    };
  });
}

interface OpenBlobs {
  readonly blobs: Blobs;
  close(): void;
}

async function openBlobs(at: string, durability: 'full' | 'none'): Promise<OpenBlobs> {
  if (!isBucketAddress(at)) return { blobs: await openFileBlobs(at, { durability }), close: () => undefined };
  const blobs = await openS3Blobs(at);
  return { blobs, close: blobs.close };
}

async function closingOnFailure<T>(close: () => void, open: () => Promise<T>): Promise<T> {
  try {
    return await open();
  } catch (error) {
    close();
    throw error;
  }
}

/** A mistyped address must not become a folder of that name. */
function refuseUnknown(option: string, text: string, isKnown: (text: string) => boolean): void {
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(text)?.[1];
  if (scheme === undefined || isKnown(text)) return;
  const expected = option === 'store' ? 'postgres://…' : 's3://…';
  throw new HeadwaterError(
    'OPTION_INVALID',
    `--${option} does not know addresses that begin with ${scheme}://`,
    {
      hint: `Give a folder or ${expected}.`,
    },
  );
}

function blobsMissing(): HeadwaterError {
  return new HeadwaterError(
    'OPTION_INVALID',
    'with a PostgreSQL store --blobs has to say where params and updates go',
    {
      hint: 'Give --blobs s3://bucket/prefix, or a folder that all coordinators and workers share.',
    },
  );
}
