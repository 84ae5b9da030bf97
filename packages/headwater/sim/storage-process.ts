/** Storage on a virtual disk, as a process opens it: the reference store and the file blobs of the product. */

import type { Clock } from '../src/base/clock.ts';
import type { Blobs } from '../src/storage/blobs.ts';
import type { Disk } from '../src/storage/disk.ts';
import type { Store } from '../src/storage/store.ts';

export const STORE_FOLDER = 'store';
export const BLOBS_FOLDER = 'blobs';

export function openStore(disk: Disk, clock: Clock): Promise<Store> {
  return openLogStore(disk, STORE_FOLDER, { clock });
}

export function openBlobs(disk: Disk): Blobs {
  return blobsOver(disk, BLOBS_FOLDER);
}
