/**
 * The client's memory as files of one folder that only its user can read. A file is whole or absent; one process at a time.
 */

import { chmod, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { assert, HeadwaterError } from '../base/errors.ts';
import { storageError, systemErrorCode } from '../base/io-errors.ts';
import { makeFolder } from '../base/make-folder-node.ts';
import { writeFileAtomically } from '../storage/atomic-file.ts';
import { acquireRunLock } from '../storage/run-lock.ts';
import type { ClientStore } from './ports.ts';

export interface OpenClientStore extends ClientStore {
  readonly folder: string;
  close(): void;
}

const PRIVATE_FOLDER = 0o700;
const PRIVATE_FILE = 0o600;
/** Keys are chosen here, never by a coordinator. */
const KEY = /^[a-z]+(-[01])?$/;

/** Throws RUN_LOCKED (another client works with this folder), STORAGE_FAILED. */
export async function openFileStore(folder: string): Promise<OpenClientStore> {
  await makeFolder(folder);
  await guarded('protect the state folder', folder, () => chmod(folder, PRIVATE_FOLDER));
  const lock = lockOf(folder);
  await sweep(folder);
  const fileOf = (key: string) => {
    assert(KEY.test(key), `"${key}" is no key of a client's store`);
    return join(folder, `${key}.bin`);
  };
  return {
    folder,
    load: (key) => guarded('read', fileOf(key), () => readIfThere(fileOf(key))),
    save: (key, value) => writeFileAtomically(fileOf(key), value, PRIVATE_FILE),
    remove: (key) => guarded('remove', fileOf(key), () => rm(fileOf(key), { force: true })),
    close: () => lock.release(),
  };
}

/** Only looks, also while a client works with the folder. */
export function readFileStore(folder: string): Pick<ClientStore, 'load'> {
  const path = (key: string) => join(folder, `${key}.bin`);
  return { load: (key) => guarded('read', path(key), () => readIfThere(path(key))) };
}

function lockOf(folder: string): { release(): void } {
  try {
    return acquireRunLock(join(folder, 'client.lock'));
  } catch (cause) {
    if (!(cause instanceof HeadwaterError) || cause.code !== 'RUN_LOCKED') throw cause;
    throw new HeadwaterError('RUN_LOCKED', 'another client works with this state folder', {
      where: folder,
      hint: 'Stop it first, or give this one a folder of its own with --state.',
      cause,
    });
  }
}

/** Temporary files of a process that was killed while it wrote. */
async function sweep(folder: string): Promise<void> {
  await guarded('look into the state folder', folder, async () => {
    for (const name of await readdir(folder)) if (name.includes('.tmp-')) await rm(join(folder, name));
  });
}

async function readIfThere(path: string): Promise<Uint8Array | undefined> {
  try {
    return new Uint8Array(await readFile(path));
  } catch (cause) {
    if (systemErrorCode(cause) === 'ENOENT') return undefined;
    throw cause;
  }
}

async function guarded<T>(action: string, where: string, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (cause) {
    throw storageError(cause, action, where);
  }
}
