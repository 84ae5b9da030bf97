/** Bytes and names that survive a power cut: flushed files, flushed folders. Whole-or-absent is the callers' business. */

import { open } from 'node:fs/promises';

/** Writes a new file with its bytes on the disk before this returns. Fails when it exists. `mode`: who may read it. */
export async function writeSynced(path: string, content: string | Uint8Array, mode = 0o666): Promise<void> {
  const file = await open(path, 'wx', mode);
  try {
    await file.writeFile(content);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Makes renames inside a folder durable. Windows cannot open folders; there the rename itself has to do. */
export async function syncFolder(folder: string): Promise<void> {
  if (process.platform === 'win32') return;
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
