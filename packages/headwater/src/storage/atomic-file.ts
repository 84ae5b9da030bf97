/** Files that appear whole or not at all: temporary name, flush, rename, flush the parent. */

import { randomUUID } from 'node:crypto';
import { rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { syncFolder, writeSynced } from '../base/durable-node.ts';
import { storageError } from '../base/io-errors.ts';
import { makeFolder } from '../base/make-folder-node.ts';

/** Replaces `path` by the given text or bytes. Throws STORAGE_FAILED and leaves the old file. */
export async function writeFileAtomically(
  path: string,
  content: string | Uint8Array,
  mode?: number,
): Promise<void> {
  const temporary = `${path}.tmp-${randomUUID()}`;
  try {
    await makeFolder(dirname(path));
    await writeSynced(temporary, content, mode);
    await rename(temporary, path);
    await syncFolder(dirname(path));
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => undefined);
    throw storageError(error, 'write a file', path);
  }
}
