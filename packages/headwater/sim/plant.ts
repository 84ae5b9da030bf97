/** Where a fault can be planted: around a part that a process is built from, never inside product code. */

import type { ClientStore } from '../src/client/ports.ts';
import type { Coordinator, CoordinatorParts, Machine, RunWorks } from '../src/coordinator/ports.ts';
import type { Blobs } from '../src/storage/blobs.ts';
import type { Disk } from '../src/storage/disk.ts';
import type { Store } from '../src/storage/store.ts';

export interface Plant {
  /** What is broken, in one sentence. */
  readonly what: string;
  readonly disk?: (disk: Disk) => Disk;
  /** At the database, where the checkers look through it. */
  readonly database?: (store: Store) => Store;
  /** In the process that uses it. */
  readonly store?: (store: Store) => Store;
  readonly blobs?: (blobs: Blobs) => Blobs;
  readonly works?: (works: RunWorks, blobs: Blobs) => RunWorks;
  /** The checkers replay with the same broken machine: they must not find the fault by comparing with a good one. */
  readonly machine?: (machine: Machine) => Machine;
  readonly coordinator?: (parts: CoordinatorParts) => CoordinatorParts;
  readonly handle?: (handle: Coordinator['handle']) => Coordinator['handle'];
  readonly clientStore?: (store: ClientStore) => ClientStore;
}
