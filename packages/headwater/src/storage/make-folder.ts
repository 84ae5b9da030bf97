/**
 * Makes a folder with its parents. Node's own recursive mkdir never returns where a parent exists but refuses children
 * with ENOENT (as /proc does); this one gives up there.
 */

import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { storageError, systemErrorCode } from '../base/io-errors.ts';

/** Throws STORAGE_FAILED. A folder that exists already is fine; a file in its place is not. */
export async function makeFolder(path: string): Promise<void> {
  if (!existsSync(path) && !existsSync(dirname(path))) await makeFolder(dirname(path));
  await mkdir(path).catch((cause) => {
    if (systemErrorCode(cause) === 'EEXIST') return;
    throw storageError(cause, 'make the folder', path);
  });
}
