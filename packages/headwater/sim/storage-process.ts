/** Storage on a virtual disk, as a process opens it: the reference store and the file blobs of the product. */

import type { Clock } from '../src/base/clock.ts';
import type { Rng } from '../src/base/random.ts';
import type { Blobs } from '../src/storage/blobs.ts';
import type { Disk } from '../src/storage/disk.ts';
import { blobsOver } from '../src/storage/disk-blobs.ts';
import { openLogStore } from '../src/storage/log-store.ts';
import type { Store } from '../src/storage/store.ts';

const STORE_FOLDER = 'store';
const BLOBS_FOLDER = 'blobs';

/** So small that the log is rewritten now and then. */
const SLACK_BYTES = 8192;

export function openStore(disk: Disk, clock: Clock): Promise<Store> {
  return openLogStore(disk, STORE_FOLDER, { clock, slackBytes: SLACK_BYTES });
}

export function openBlobs(disk: Disk, clock: Clock, random: Rng): Promise<Blobs> {
  return blobsOver(disk, BLOBS_FOLDER, { clock, unique: () => `${random.uint32()}-${random.uint32()}` });
}
