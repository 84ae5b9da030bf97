/**
 * The Store over PostgreSQL: for several coordinators and workers over one database. Tables lie in the schema `headwater`
 * and are made and updated on opening. Its parts, one file each, are in `postgres/`.
 */

import { systemTimers, type Timers } from '../base/clock.ts';
import { type DatabaseAddress, parseDatabaseAddress } from './postgres/address.ts';
import { connectDatabase, connectListener } from './postgres/database.ts';
import { postgresJournals } from './postgres/journals.ts';
import { postgresLeases } from './postgres/leases.ts';
import { postgresRecords } from './postgres/records.ts';
import { migrate } from './postgres/schema.ts';
import { postgresTasks } from './postgres/tasks.ts';
import { postgresWakeups } from './postgres/wakeups.ts';
import type { Store } from './store.ts';

export interface PostgresOptions {
  readonly timers?: Timers;
  /** How long a statement is tried again while the server is away; default 15 s, on opening 5 s. */
  readonly retryForMs?: number;
}

const RETRY_FOR_MS = 15_000;
const OPENING_RETRY_FOR_MS = 5_000;

/**
 * Opens `postgres://user:password@host:port/database`. Throws OPTION_INVALID (address), CONNECTION_FAILED (server,
 * database, password) and STORAGE_FAILED (rights, a newer schema, a server that does not flush).
 */
export async function openPostgresStore(url: string, options: PostgresOptions = {}): Promise<Store> {
  const { timers = systemTimers, retryForMs = RETRY_FOR_MS } = options;
  const address = parseDatabaseAddress(url);
  await prepare(address, { timers, retryForMs: Math.min(retryForMs, OPENING_RETRY_FOR_MS) });
  const database = await connectDatabase(address, { timers, retryForMs });
  const wakeups = postgresWakeups(database, (onLost) => connectListener(address, onLost), timers);
  return {
    journals: postgresJournals(database),
    records: postgresRecords(database),
    leases: postgresLeases(database),
    tasks: postgresTasks(database),
    wakeups,
    async close() {
      await wakeups.close();
      await database.close();
    },
  };
}

async function prepare(address: DatabaseAddress, options: Required<PostgresOptions>): Promise<void> {
  const database = await connectDatabase(address, options);
  try {
    await migrate(database);
  } finally {
    await database.close();
  }
}
