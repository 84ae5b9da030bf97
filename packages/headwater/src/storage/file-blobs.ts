/** The default Blobs: files below one folder of this machine. */

import { makeFolder } from '../base/make-folder-node.ts';
import type { Blobs } from './blobs.ts';
import { blobsOver } from './disk-blobs.ts';
import { type NodeDiskOptions, nodeDisk } from './node-disk.ts';

/** Makes the folder when needed. Throws STORAGE_FAILED. */
export async function openFileBlobs(folder: string, options: NodeDiskOptions = {}): Promise<Blobs> {
  await makeFolder(folder);
  return blobsOver(nodeDisk(folder, options), '', { where: folder });
}
