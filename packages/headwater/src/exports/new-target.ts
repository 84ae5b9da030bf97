/** Checks before anything is written: the target is new, its disk has room. Writing whole or not at all is the writers' part. */

import { lstat, statfs } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { HeadwaterError } from '../base/errors.ts';
import { formatBytes } from '../base/format.ts';
import { storageError, systemErrorCode } from '../base/io-errors.ts';

/** Bytes that the disk of an existing folder has left. */
export type FreeBytes = (folder: string) => Promise<number>;

const freeOnDisk: FreeBytes = async (folder) => {
  const { bavail, bsize } = await statfs(folder);
  return bavail * bsize;
};

/** Throws OPTION_INVALID when there is something already, STORAGE_FAILED when `neededBytes` do not fit. */
export async function checkNewTarget(
  path: string,
  neededBytes: number,
  freeBytes: FreeBytes = freeOnDisk,
): Promise<void> {
  const target = resolve(path);
  if (await exists(target))
    throw new HeadwaterError('OPTION_INVALID', 'the output is there already', {
      where: target,
      hint: 'Choose another name for --out, or remove what is there.',
    });
  let folder = dirname(target);
  while (!(await exists(folder)) && folder !== dirname(folder)) folder = dirname(folder);
  const free = await freeBytes(folder).catch((cause) => {
    throw storageError(cause, 'look at the disk', folder);
  });
  if (free < neededBytes)
    throw new HeadwaterError(
      'STORAGE_FAILED',
      `${formatBytes(neededBytes)} are needed, the disk has ${formatBytes(free)} left`,
      { where: folder, hint: 'Free space, or choose a folder on another disk.' },
    );
}

async function exists(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return true;
  } catch (cause) {
    if (['ENOENT', 'ENOTDIR'].includes(systemErrorCode(cause))) return false;
    throw storageError(cause, 'look at', path);
  }
}
