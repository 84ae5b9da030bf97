/**
 * The run lock: at most one process writes a run. It is SQLite's lock on an empty file, held by the operating system, so
 * a killed process leaves none behind. Network file systems without working locks are not protected.
 */

import { DatabaseSync } from 'node:sqlite';
import { HeadwaterError } from '../base/errors.ts';
import { storageError } from '../base/io-errors.ts';

const SQLITE_BUSY = 5;

export interface RunLock {
  release(): void;
}

/** Throws RUN_LOCKED when another process (or another run in this process) holds it. */
export function acquireRunLock(path: string): RunLock {
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(path, { timeout: 0 });
    database.exec('BEGIN EXCLUSIVE');
  } catch (error) {
    database?.close();
    if (((error as { errcode?: number }).errcode ?? 0) !== SQLITE_BUSY)
      throw storageError(error, 'lock the run', path);
    throw new HeadwaterError('RUN_LOCKED', 'another process is working on this run', {
      where: path,
      hint: 'Wait until it has finished, stop it with Ctrl-C, or choose another folder with --out.',
      cause: error,
    });
  }
  const held = database;
  return { release: () => held.close() };
}
