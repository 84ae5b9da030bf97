/** Making a folder with its parents. Node's own recursive mkdir never returns on file systems that refuse with "no such file". */

import { existsSync } from 'node:fs';
import { chmod, mkdir, stat } from 'node:fs/promises';
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

/** For secrets: a folder that is made here is this user's alone; one that is there stays as it is. Throws STORAGE_FAILED. */
export async function makePrivateFolder(folder: string): Promise<void> {
  if (existsSync(folder)) return;
  await makeFolder(folder);
  await chmod(folder, 0o700).catch((cause) => {
    throw storageError(cause, 'make the folder private', folder);
  });
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
