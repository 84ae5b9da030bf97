/**
 * How a complete upload becomes a blob: its file is flushed and renamed. A file that another process may still have open is
 * copied instead, so that nobody can write into a blob.
 */

import type { BlobFiles } from './disk-blob-files.ts';
import { readBlocks } from './disk-pieces.ts';
import type { Upload } from './disk-upload-files.ts';

/** Stores what the source gives if it has the digest; gives the digest that it has. */
export type StoreOnly = (source: AsyncIterable<Uint8Array>, digest: string) => Promise<string>;

/** SHA-256 of the whole (a blob only when it is the plan's); undefined when somebody else took the file away. */
export async function makeBlob(
  files: BlobFiles,
  upload: Upload,
  store: StoreOnly,
): Promise<string | undefined> {
  const { plan, dataPath, running } = upload;
  const file = await files.disk.open(dataPath, 'write');
  let digest: string;
  try {
    if (upload.shared) return await store(readBlocks(file, 0, plan.bytes), plan.digest);
    const hash = running.hash.copy();
    // What did not come in order is read again.
    for await (const block of readBlocks(file, running.next * plan.chunkBytes, plan.bytes))
      hash.update(block);
    digest = hash.digest('hex');
    await file.sync();
  } finally {
    await file.close();
  }
  // If it is gone, opening it made an empty one.
  if ((await files.disk.stat(dataPath))?.bytes !== plan.bytes) return undefined;
  if (digest === plan.digest) await files.place(dataPath, digest);
  return digest;
}
