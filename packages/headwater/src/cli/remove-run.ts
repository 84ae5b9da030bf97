/** `--force`: deletes a run folder, and only a run folder. */

import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { HeadwaterError } from '../base/errors.ts';
import { storageError } from '../base/io-errors.ts';
import { runPaths } from '../runs/run-folder.ts';
import { acquireRunLock } from '../storage/run-lock.ts';

/** Throws RUN_EXISTS (other files than a run's), RUN_LOCKED, STORAGE_FAILED. */
export async function removeRun(folder: string): Promise<void> {
  const { journal, lock } = runPaths(folder);
  if (!existsSync(journal))
    throw new HeadwaterError('RUN_EXISTS', 'this folder holds other files than a run', {
      where: folder,
      hint: '--force deletes runs only. Choose another folder with --out.',
    });
  acquireRunLock(lock).release();
  await rm(folder, { recursive: true }).catch((cause) => {
    throw storageError(cause, 'delete the run', folder);
  });
}
