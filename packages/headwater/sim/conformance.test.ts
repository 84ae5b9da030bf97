/** The storage of the simulation keeps the contracts of all storage: the reference store and blobs on the virtual disk. */

import { rng } from '../src/base/random.ts';
import type { Disk } from '../src/storage/disk.ts';
import type { Store } from '../src/storage/store.ts';
import { blobsConformance } from '../test/support/blobs-conformance.ts';
import { journalConformance } from '../test/support/journal-conformance.ts';
import { storeConformance } from '../test/support/store-conformance.ts';
import { createDisk } from './disk.ts';
import { beginLife } from './life.ts';
import { openBlobs, openStore } from './storage-process.ts';
import { clockOf, createTime, type VirtualTime } from './virtual-time.ts';

/** Time that goes on by itself as long as something is to happen. */
function flowing(): VirtualTime {
  const time = createTime();
  let flows = false;
  return {
    get nowMs() {
      return time.nowMs;
    },
    get fired() {
      return time.fired;
    },
    after(ms, fire) {
      const cancel = time.after(ms, fire);
      if (!flows) {
        flows = true;
        void time
          .run(() => false, Number.POSITIVE_INFINITY)
          .then(() => {
            flows = false;
          });
      }
      return cancel;
    },
    run: time.run,
  };
}

let aheadMs = 0;
let time = flowing();
let disk: Disk;
const fresh = () => {
  time = flowing();
  disk = createDisk(time, rng(1, 'conformance')).session(beginLife('p', 1));
};
const clock = { nowMs: () => clockOf(time).nowMs() + aheadMs };
const names = rng(1, 'names');

blobsConformance({ name: 'virtual disk', fresh, open: () => openBlobs(disk, clock, names) });

storeConformance({
  name: 'virtual disk',
  fresh,
  open: () => openStore(disk, clock),
  advance(ms) {
    aheadMs += ms;
  },
});

/** One process at a time opens the store; the last journal to be closed closes it. */
let shared: { readonly store: Promise<Store>; users: number } | undefined;
journalConformance({
  name: 'virtual disk',
  fresh() {
    fresh();
    shared = undefined;
  },
  async open() {
    shared ??= { store: openStore(disk, clock), users: 0 };
    const mine = shared;
    mine.users += 1;
    const journal = await (await mine.store).journals.open('run');
    const close = async () => {
      mine.users -= 1;
      if (mine.users > 0) return;
      shared = undefined;
      await (await mine.store).close();
    };
    return Object.defineProperty(journal, 'close', { value: close });
  },
  damage: 'the log has check sums over whole changes; its own tests damage it',
});
