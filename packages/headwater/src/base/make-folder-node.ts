/** Making a folder with its parents. Node's own recursive mkdir never returns on file systems that refuse with "no such file". */

import { mkdir, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { storageError, systemErrorCode } from './io-errors.ts';

/** Throws STORAGE_FAILED. A folder that is there already is fine, a file in its place is not. */
export async function makeFolder(path: string): Promise<void> {
  if (await isFolder(path)) return;
  const parent = dirname(path);
  if (parent !== path) await makeFolder(parent);
  try {
    await mkdir(path);
  } catch (error) {
    // Somebody else made it in between.
    if (!(await isFolder(path))) throw storageError(error, 'make the folder', path);
  }
}

async function isFolder(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch (error) {
    const code = systemErrorCode(error);
    if (code === 'ENOENT' || code === 'ENOTDIR') return false;
    throw storageError(error, 'look at the folder', path);
  }
}
