/** A folder that appears whole or not at all: written under another name, synced, then renamed into place. */

import { rename, rm } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { syncFolder } from '../base/durable-node.ts';
import { storageError } from '../base/io-errors.ts';
import { makeFolder } from '../base/make-folder-node.ts';

/** `fill` writes the files into the folder it is given. An older folder is replaced. Throws STORAGE_FAILED. */
export async function writeFolder(folder: string, fill: (temporary: string) => Promise<void>): Promise<void> {
  const target = resolve(folder);
  const temporary = `${target}.${process.pid}.tmp`;
  try {
    await rm(temporary, { recursive: true, force: true });
    await makeFolder(temporary);
    await fill(temporary);
    await syncFolder(temporary);
    await replace(target, temporary);
    await syncFolder(dirname(target));
  } catch (cause) {
    // The first failure is the one to report; where its folder cannot even be removed, there is nothing to remove.
    await rm(temporary, { recursive: true, force: true }).catch(() => undefined);
    throw storageError(cause, 'write the folder', target);
  }
}

/** A full folder cannot be renamed over: the old one steps aside first. */
async function replace(target: string, temporary: string): Promise<void> {
  const old = `${target}.${process.pid}.old`;
  const hadOld = await rename(target, old).then(
    () => true,
    (cause: NodeJS.ErrnoException) => {
      if (cause.code === 'ENOENT') return false;
      throw cause;
    },
  );
  await rename(temporary, target);
  if (hadOld) await rm(old, { recursive: true, force: true });
}
