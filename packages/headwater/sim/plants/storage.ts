/** Mistakes in storage and in how it is used: durability, fences, leases, snapshots, replay. */

import type { Blobs } from '../../src/storage/blobs.ts';
import type { Disk, DiskFile } from '../../src/storage/disk.ts';
import type { Journal } from '../../src/storage/journal.ts';
import type { Fence, Store } from '../../src/storage/store.ts';
import type { Plant } from '../plant.ts';

type OpenJournal = Store['journals']['open'];

const withJournals = (store: Store, open: (real: OpenJournal) => OpenJournal): Store => ({
  ...store,
  journals: { ...store.journals, open: open(store.journals.open) },
});

const changed = (journal: Journal, change: Partial<Journal>): Journal => ({
  get lastSeq() {
    return journal.lastSeq;
  },
  append: journal.append,
  readAll: journal.readAll,
  readAfter: journal.readAfter,
  saveSnapshot: journal.saveSnapshot,
  loadSnapshot: journal.loadSnapshot,
  close: journal.close,
  ...change,
});

const withoutSync = (disk: Disk, of: (path: string) => boolean): Disk => ({
  ...disk,
  async open(path, mode) {
    const file = await disk.open(path, mode);
    return of(path) ? ({ ...file, sync: async () => {} } satisfies DiskFile) : file;
  },
});

export const storagePlants: Readonly<Record<string, Plant>> = {
  'answer-early': {
    what: 'answers are given before the event is durable',
    store: (store) =>
      withJournals(store, (open) => async (run, fence) => {
        const journal = await open(run, fence);
        let last: Promise<unknown> = Promise.resolve();
        return changed(journal, {
          async append(events, expectedSeq) {
            last = last.then(() => journal.append(events, expectedSeq)).catch(() => undefined);
            return expectedSeq + events.length;
          },
        });
      }),
  },

  'forget-on-restart': {
    what: 'the last accepted update is lost when the journal is read again',
    store: (store) =>
      withJournals(store, (open) => async (run, fence) => {
        const journal = await open(run, fence);
        return changed(journal, {
          async readAfter(seq) {
            const entries = await journal.readAfter(seq);
            const at = entries.findLastIndex(
              ({ event }) => (event as { type: string }).type === 'update-received',
            );
            return entries.filter((_, i) => i !== at);
          },
        });
      }),
  },

  'snapshot-off-by-one': {
    what: 'a snapshot is taken for one event more than it holds',
    store: (store) =>
      withJournals(store, (open) => async (run, fence) => {
        const journal = await open(run, fence);
        return changed(journal, {
          async loadSnapshot() {
            const snapshot = await journal.loadSnapshot();
            const isLast = snapshot === undefined || snapshot.seq >= journal.lastSeq;
            return isLast ? snapshot : { ...snapshot, seq: snapshot.seq + 1 };
          },
        });
      }),
  },

  'no-fence': {
    what: 'the store writes for everybody, whoever has the lease and whatever was written before',
    database: (store) =>
      withJournals(store, (open) => async (run) => {
        const journal = await open(run);
        return changed(journal, {
          async append(events) {
            await journal.readAll();
            return journal.append(events, journal.lastSeq);
          },
        });
      }),
  },

  'lease-for-all': {
    what: 'a lease is given to whoever asks',
    database: (store) => {
      let last: Fence | undefined;
      const acquire: Store['leases']['acquire'] = async (key, holder, ttlMs) => {
        if (last !== undefined && last.holder !== holder) await store.leases.release(last);
        last = await store.leases.acquire(key, holder, ttlMs);
        return last;
      };
      return { ...store, leases: { ...store.leases, acquire } };
    },
  },

  'journal-not-synced': {
    what: 'the journal is not flushed',
    disk: (disk) => withoutSync(disk, (path) => path.startsWith('store/')),
  },

  'blob-not-synced': {
    what: 'blobs are not flushed before their row',
    disk: (disk) => withoutSync(disk, (path) => path.startsWith('blobs/')),
  },

  'folder-not-synced': {
    what: 'the names of new files are not flushed',
    disk: (disk) => ({ ...disk, syncFolder: async () => {} }),
  },

  'row-before-bytes': {
    what: 'an upload counts as sealed before it is',
    blobs: (blobs): Blobs => {
      const sealing = new Map<string, Promise<unknown>>();
      return {
        ...blobs,
        uploads: {
          ...blobs.uploads,
          async seal(plan) {
            const sealed = blobs.uploads.seal(plan);
            sealing.set(
              plan.digest,
              sealed.catch(() => undefined),
            );
            return (await blobs.has(plan.digest)) ? sealed : plan.digest;
          },
        },
        async *stream(digest, range) {
          await sealing.get(digest);
          yield* blobs.stream(digest, range);
        },
      };
    },
  },

  'delete-too-early': {
    what: 'with every new update the one before is deleted',
    blobs: (blobs): Blobs => {
      let before: string | undefined;
      const seal: Blobs['uploads']['seal'] = async (plan) => {
        const digest = await blobs.uploads.seal(plan);
        if (before !== undefined && before !== digest) await blobs.delete(before);
        before = digest;
        return digest;
      };
      return { ...blobs, uploads: { ...blobs.uploads, seal } };
    },
  },
};
