/** IndexedDB of this origin: seats, the small values of clients, and keys that cannot be taken out. Values are whole or absent. */

import type { ClientStore } from '@headwater/client/ports.ts';
import { type DBSchema, type IDBPDatabase, openDB } from 'idb';
import { storageFailed } from '../../engine/worker/reader.ts';
import type { Seat } from '../messages.ts';

interface Schema extends DBSchema {
  seats: { key: string; value: Seat };
  /** `seat/key`. */
  values: { key: string; value: Uint8Array };
  /** `seat/id`. */
  keys: { key: string; value: CryptoKey };
}

export type Database = IDBPDatabase<Schema>;

/** `onLost`: the browser has closed it, which it does when the disk is full. Throws STORAGE_FAILED. */
export function openDatabase(onLost: () => void): Promise<Database> {
  return guarded('open the browser’s database', () =>
    openDB<Schema>('headwater', 1, {
      upgrade(database) {
        database.createObjectStore('seats');
        database.createObjectStore('values');
        database.createObjectStore('keys');
      },
      terminated: onLost,
    }),
  );
}

/** What a client remembers, as the files of a state folder in Node. */
export function clientStore(database: Database, seat: string): ClientStore {
  const nameOf = (key: string) => `${seat}/${key}`;
  return {
    load: (key) => guarded('read', () => database.get('values', nameOf(key))),
    save: (key, value) =>
      guarded('save', () => durably(database, 'values', (store) => store.put(value.slice(), nameOf(key)))),
    remove: (key) => guarded('remove', () => database.delete('values', nameOf(key))),
  };
}

type StoreName = 'seats' | 'values' | 'keys';

/** On disk when resolved, as far as the browser says so. */
export async function durably<Name extends StoreName>(
  database: Database,
  name: Name,
  act: (store: ReturnType<typeof writable<Name>>['store']) => Promise<unknown>,
): Promise<void> {
  const transaction = writable(database, name);
  const [acted, done] = await Promise.allSettled([act(transaction.store), transaction.done]);
  // The transaction knows why (no space is left), its requests only that they were given up.
  for (const result of [done, acted]) if (result.status === 'rejected') throw result.reason;
}

function writable<Name extends StoreName>(database: Database, name: Name) {
  return database.transaction(name, 'readwrite', { durability: 'strict' });
}

/** Of a seat that is forgotten. */
export async function removeSeat(database: Database, seat: string): Promise<void> {
  await guarded('remove', async () => {
    const own = IDBKeyRange.bound(`${seat}/`, `${seat}/\uffff`);
    await database.delete('values', own);
    await database.delete('keys', own);
    await database.delete('seats', seat);
  });
}

export async function guarded<T>(action: string, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (cause) {
    throw storageFailed(`the browser’s database could not ${action}`, 'IndexedDB', cause);
  }
}
