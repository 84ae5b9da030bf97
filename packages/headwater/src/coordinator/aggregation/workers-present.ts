/** Who says that workers are there: each holds a lease, and a record names it. It knows no tasks. */

import type { Timers } from '../../base/clock.ts';
import { messageOf } from '../../base/errors.ts';
import type { Fence, Store } from '../../storage/store.ts';
import type { Log } from '../ports.ts';

const COLLECTION = 'workers';
const LEASE_MS = 30_000;

const leaseOf = (name: string) => `worker/${name}`;

export interface PresenceParts {
  readonly store: Pick<Store, 'leases' | 'records'>;
  readonly timers: Timers;
  readonly log: Log;
  readonly name: string;
}

/** Announces the worker until `end`; a store that fails is tried again. */
export function announceWorker({ store, timers, log, name }: PresenceParts): { end(): Promise<void> } {
  let fence: Fence | undefined;
  let ended = false;
  let cancel = () => {};
  let beating = beat();

  async function beat(): Promise<void> {
    try {
      fence = await store.leases.acquire(leaseOf(name), name, LEASE_MS);
      if ((await store.records.get(COLLECTION, name)) === undefined)
        await store.records.put(COLLECTION, name, null, 0);
    } catch (error) {
      log.warn('worker-unannounced', { worker: name, reason: messageOf(error) });
    }
    if (!ended)
      cancel = timers.after(LEASE_MS / 3, () => {
        beating = beat();
      });
  }

  return {
    async end() {
      ended = true;
      cancel();
      await beating;
      try {
        await store.records.delete(COLLECTION, name);
        if (fence !== undefined) await store.leases.release(fence);
      } catch (error) {
        // The lease runs out by itself.
        log.warn('worker-unannounced', { worker: name, reason: messageOf(error) });
      }
    },
  };
}

/** Workers that are there now; the names of dead ones are forgotten. */
export async function countWorkers({ leases, records }: Pick<Store, 'leases' | 'records'>): Promise<number> {
  let present = 0;
  for (const { key } of await records.list(COLLECTION)) {
    if ((await leases.holderOf(leaseOf(key))) !== undefined) present += 1;
    else await records.delete(COLLECTION, key);
  }
  return present;
}
