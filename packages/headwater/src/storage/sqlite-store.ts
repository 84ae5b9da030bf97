/** The default Store: one SQLite file for all runs of one machine. Several processes may open it. */

import { type Clock, systemClock } from '../base/clock.ts';
import { type Durability, openDatabase } from './sqlite/database.ts';
import { sqliteJournals } from './sqlite/journals.ts';
import { sqliteLeases } from './sqlite/leases.ts';
import { sqliteRecords } from './sqlite/records.ts';
import { sqliteTasks } from './sqlite/tasks.ts';
import type { Store } from './store.ts';
import { localWakeups } from './wakeups.ts';

export interface SqliteStoreOptions {
  /** Of leases and tasks. */
  readonly clock?: Clock;
  readonly durability?: Durability;
}

/** Opens or creates the file, which holds keys. Throws RUN_CORRUPT, STORAGE_FAILED. Wake-ups reach this process only. */
export async function openSqliteStore(path: string, options: SqliteStoreOptions = {}): Promise<Store> {
  const database = openDatabase(path, { ...options, isPrivate: true });
  const clock = options.clock ?? systemClock;
  return {
    journals: sqliteJournals(database),
    records: sqliteRecords(database),
    leases: sqliteLeases(database, clock),
    tasks: sqliteTasks(database, clock),
    wakeups: localWakeups(),
    close: async () => database.close(),
  };
}
