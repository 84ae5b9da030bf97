/** What result codes of SQLite mean: damage, or a failing disk. It runs no statement. */

import { HeadwaterError } from '../../base/errors.ts';
import { storageError } from '../../base/io-errors.ts';
import { runCorrupt } from '../failures.ts';

// https://sqlite.org/rescode.html (primary code = low 8 bits).
const SQLITE_BUSY = 5;
const SQLITE_CORRUPT = 11;
const SQLITE_NOTADB = 26;
const CODE_NAMES: Record<number, string> = {
  3: 'EACCES',
  8: 'EROFS',
  10: 'EIO',
  13: 'ENOSPC',
  14: 'ENOENT',
  23: 'EACCES',
};

export function guarded<T>(action: string, path: string, body: () => T): T {
  try {
    return body();
  } catch (error) {
    throw translated(action, path, error);
  }
}

/** RUN_CORRUPT, RUN_LOCKED or STORAGE_FAILED for what SQLite threw; anything else unchanged. */
export function translated(action: string, path: string, error: unknown): unknown {
  const { errcode } = error as { errcode?: number };
  if (errcode === undefined) return error;
  const primary = errcode & 0xff;
  if (primary === SQLITE_CORRUPT || primary === SQLITE_NOTADB)
    return runCorrupt(`the file is damaged: ${(error as Error).message}`, path, error);
  if (primary === SQLITE_BUSY)
    return new HeadwaterError('RUN_LOCKED', `cannot ${action}: another process is writing the file`, {
      where: path,
      hint: 'Wait until it has finished, or stop it.',
      cause: error,
    });
  const code = CODE_NAMES[primary];
  const cause = code === undefined ? (error as Error) : Object.assign(error as Error, { code });
  return storageError(cause, action, path);
}
