/** A GGUF file that is either whole or absent, written one tensor at a time. */

import { open, rename, rm } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { syncFolder } from '../../base/durable-node.ts';
import { assert } from '../../base/errors.ts';
import { storageError } from '../../base/io-errors.ts';
import { makeFolder } from '../../base/make-folder-node.ts';
import { checkNewTarget, type FreeBytes } from '../new-target.ts';
import { encodeTensor } from './encode.ts';
import { type GgufMetadata, type GgufTensorInfo, layoutGguf, paddingBytes, tensorBytes } from './format.ts';

export interface GgufTensorSource extends GgufTensorInfo {
  /** Values in row-major order; called once, when it is this tensor's turn. */
  read(): Promise<Float32Array>;
}

/** Bytes of the file. Throws OPTION_INVALID when it exists, STORAGE_FAILED; then nothing is left behind. */
export async function writeGgufFile(
  path: string,
  metadata: GgufMetadata,
  tensors: readonly GgufTensorSource[],
  freeBytes?: FreeBytes,
): Promise<number> {
  const target = resolve(path);
  const { header, fileBytes } = layoutGguf(metadata, tensors);
  await checkNewTarget(target, fileBytes, freeBytes);
  const temporary = join(dirname(target), `.${basename(target)}.${process.pid}.tmp`);
  try {
    await makeFolder(dirname(target));
    const handle = await open(temporary, 'w');
    try {
      await handle.writeFile(header);
      for (const tensor of tensors) {
        const bytes = encodeTensor(tensor.type, await tensor.read());
        assert(bytes.byteLength === tensorBytes(tensor), `${tensor.name} has ${bytes.byteLength} bytes`);
        await handle.writeFile(bytes);
        await handle.writeFile(new Uint8Array(paddingBytes(bytes.byteLength)));
      }
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, target);
    await syncFolder(dirname(target));
  } catch (cause) {
    await rm(temporary, { force: true }).catch(() => undefined);
    throw storageError(cause, 'write the file', target);
  }
  return fileBytes;
}
