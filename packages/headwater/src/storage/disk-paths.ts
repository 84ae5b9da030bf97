/** Paths on a Disk, and folders that survive a power cut. */

import type { Disk } from './disk.ts';

export function within(folder: string, name: string): string {
  return folder === '' ? name : `${folder}/${name}`;
}

/** Makes the folder and those above it; their names, and what is named in the folder already, become durable. */
export async function makeDurableFolder(disk: Disk, folder: string): Promise<void> {
  await disk.makeFolder(folder);
  const parts = folder.split('/').filter((part) => part !== '');
  for (let depth = parts.length; depth >= 0; depth -= 1)
    await disk.syncFolder(parts.slice(0, depth).join('/'));
}
