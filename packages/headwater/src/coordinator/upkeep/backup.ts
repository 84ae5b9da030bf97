/**
 * A copy of a coordinator's folder that can be taken while it serves, and the way back. The database is copied first, by
 * SQLite itself; then every blob that this copy of the journals needs. No copy counts before it was checked by replay.
 */

import { existsSync, readdirSync } from 'node:fs';
import { cp, mkdir, rename, rm } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { backup, DatabaseSync, type DatabaseSyncOptions } from 'node:sqlite';
import { syncFolder, writeSynced } from '../../base/durable-node.ts';
import { HeadwaterError } from '../../base/errors.ts';
import { storageError, systemErrorCode } from '../../base/io-errors.ts';
import { makeFolder } from '../../base/make-folder-node.ts';
import type { Blobs } from '../../storage/blobs.ts';
import { openFileBlobs } from '../../storage/file-blobs.ts';
import { translated } from '../../storage/sqlite/failures.ts';
import { openSqliteStore } from '../../storage/sqlite-store.ts';
import { forbidReleases } from '../lead/noise-keys.ts';
import { storePaths } from '../store-folder.ts';
import { type CheckedStore, checkStore } from './check-store.ts';
import { neededBlobs } from './retention.ts';

const FORMAT = 1;
const FACTS = 'backup.json';

/** A round may end, and its blobs go, while they are copied; then the database is copied again. */
const MAX_ATTEMPTS = 20;

/**
 * Copies the folder of a coordinator, also of one at work, to the new folder `out`. Throws RUN_NOT_FOUND, RUN_EXISTS,
 * RUN_CORRUPT, STORAGE_FAILED; then nothing is left at `out`.
 */
export async function backUpStore(folder: string, out: string, nowMs: number): Promise<CheckedStore> {
  const source = storePaths(folder);
  if (!existsSync(source.database)) throw noStore(folder);
  return whole(out, async (temporary) => {
    const from = await openFileBlobs(source.blobs);
    await copyConsistently(source.database, from, temporary);
    if (existsSync(source.runs)) await cp(source.runs, storePaths(temporary).runs, { recursive: true });
    const checked = await checkFolder(temporary);
    await setJournalMode(storePaths(temporary).database, 'DELETE');
    const facts = { format: FORMAT, createdMs: nowMs, ...checked };
    await writeSynced(join(temporary, FACTS), `${JSON.stringify(facts, null, 2)}\n`);
    return checked;
  });
}

/** Makes the new folder of a coordinator from a backup. Throws as `backUpStore`, and leaves the backup as it is. */
export async function restoreStore(from: string, folder: string): Promise<CheckedStore> {
  if (!existsSync(join(from, FACTS))) throw noBackup(from);
  return whole(folder, async (temporary) => {
    const [source, target] = [storePaths(from), storePaths(temporary)];
    await cp(source.database, target.database);
    await setJournalMode(target.database, 'WAL');
    await copyNeeded(target.database, await openFileBlobs(source.blobs), await openFileBlobs(target.blobs));
    if (existsSync(source.runs)) await cp(source.runs, target.runs, { recursive: true });
    return checkFolder(temporary);
  });
}

/** Opens, checks and closes. */
async function checkFolder(folder: string): Promise<CheckedStore> {
  const paths = storePaths(folder);
  const store = await openSqliteStore(paths.database);
  try {
    return await checkStore(store, await openFileBlobs(paths.blobs));
  } finally {
    await store.close();
  }
}

async function copyConsistently(database: string, from: Blobs, temporary: string): Promise<void> {
  const paths = storePaths(temporary);
  const to = await openFileBlobs(paths.blobs);
  for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt++) {
    await copyDatabase(database, paths.database);
    await withoutNoiseKeys(paths.database);
    if (await copyNeeded(paths.database, from, to)) return;
  }
  throw new HeadwaterError('STORAGE_FAILED', 'the runs go on faster than they can be copied', {
    where: temporary,
    hint: 'Pause them, or copy to a faster disk.',
  });
}

/** In one step: a writer in between would make SQLite begin again. */
const ALL_PAGES = 2 ** 30;

async function copyDatabase(from: string, to: string): Promise<void> {
  await rm(to, { force: true });
  await withDatabase(from, { readOnly: true, timeout: 5000 }, (source) =>
    backup(source, to, { rate: ALL_PAGES }),
  );
}

/** DELETE: one file that needs no writable folder to be read. WAL: for a store at work. */
function setJournalMode(path: string, mode: 'DELETE' | 'WAL'): Promise<void> {
  return withDatabase(path, {}, async (database) => database.exec(`PRAGMA journal_mode = ${mode}`));
}

async function withDatabase(
  path: string,
  options: DatabaseSyncOptions,
  use: (database: DatabaseSync) => Promise<unknown>,
): Promise<void> {
  try {
    const database = new DatabaseSync(path, options);
    try {
      await use(database);
    } finally {
      database.close();
    }
  } catch (error) {
    throw translated('copy the database', path, error);
  }
}

/**
 * Every blob that the journals of a copied database need, and no other. False when one is gone: then the coordinator needs it
 * no more, and the copied journals are old ones.
 */
async function copyNeeded(database: string, from: Blobs, to: Blobs): Promise<boolean> {
  const needed = await neededBy(database);
  for (const digest of needed) {
    if (await to.has(digest)) continue;
    try {
      await to.putStream(from.stream(digest));
    } catch (error) {
      if (await from.has(digest)) throw error;
      return false;
    }
  }
  for (const digest of await to.list()) if (!needed.has(digest)) await to.delete(digest);
  return true;
}

/**
 * A copy holds no key of a round's noise, and no run with privacy goes on from it: what was released after the copy was made
 * would be missing in its ledger.
 */
async function withoutNoiseKeys(database: string): Promise<void> {
  const store = await openSqliteStore(database);
  try {
    await forbidReleases(store.records);
  } finally {
    await store.close();
  }
}

async function neededBy(database: string): Promise<ReadonlySet<string>> {
  const store = await openSqliteStore(database);
  try {
    return (await neededBlobs(store)).needed;
  } finally {
    await store.close();
  }
}

/** Fills a folder under another name first, for its owner alone: it holds the operator's key. */
async function whole<T>(target: string, fill: (temporary: string) => Promise<T>): Promise<T> {
  const path = resolve(target);
  if (existsSync(path) && readdirSync(path).length > 0)
    throw new HeadwaterError('RUN_EXISTS', 'this folder holds files already', {
      where: target,
      hint: 'Give a folder that does not exist.',
    });
  const temporary = `${path}.${process.pid}.tmp`;
  try {
    await makeFolder(dirname(path));
    await rm(temporary, { recursive: true, force: true });
    await mkdir(temporary, { mode: 0o700 });
    const result = await fill(temporary);
    await syncFolder(temporary);
    await rename(temporary, path);
    await syncFolder(dirname(path));
    return result;
  } catch (error) {
    await rm(temporary, { recursive: true, force: true });
    throw systemErrorCode(error) === '' ? error : storageError(error, 'copy the store', target);
  }
}

function noStore(folder: string): HeadwaterError {
  return new HeadwaterError('RUN_NOT_FOUND', 'there is no store of a coordinator in this folder', {
    where: folder,
    hint: 'Give the folder that `headwater serve --store` uses. For PostgreSQL see docs/deployment.md.',
  });
}

function noBackup(folder: string): HeadwaterError {
  return new HeadwaterError('RUN_NOT_FOUND', 'there is no whole backup in this folder', {
    where: folder,
    hint: 'Give a folder that `headwater backup` wrote.',
  });
}
