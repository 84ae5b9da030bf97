/**
 * The tables and how they came to be: numbered migrations, each carried out once, in one transaction with its number. All
 * of Headwater lies in the schema `headwater` of the database. It reads and writes no rows of its own.
 */

import { HeadwaterError } from '../../base/errors.ts';
import type { Database, Send } from './database.ts';

/** Append only: what was released is never changed. */
const MIGRATIONS: readonly string[] = [
  `CREATE TABLE headwater.journals (
     run text COLLATE "C" PRIMARY KEY,
     last_seq bigint NOT NULL,
     last_link text NOT NULL
   );
   CREATE TABLE headwater.events (
     run text COLLATE "C" NOT NULL,
     seq bigint NOT NULL,
     event text NOT NULL,
     link text NOT NULL,
     append_id uuid NOT NULL,
     PRIMARY KEY (run, seq)
   );
   CREATE TABLE headwater.snapshots (
     run text COLLATE "C" PRIMARY KEY,
     seq bigint NOT NULL,
     link text NOT NULL,
     state text NOT NULL,
     digest text NOT NULL
   );
   CREATE TABLE headwater.records (
     collection text COLLATE "C" NOT NULL,
     key text COLLATE "C" NOT NULL,
     value text NOT NULL,
     version bigint NOT NULL,
     write_id uuid NOT NULL,
     PRIMARY KEY (collection, key)
   );
   CREATE TABLE headwater.leases (
     key text COLLATE "C" PRIMARY KEY,
     holder text,
     epoch bigint NOT NULL,
     expires_at timestamptz NOT NULL
   );
   CREATE TABLE headwater.tasks (
     id text COLLATE "C" PRIMARY KEY,
     position bigint GENERATED ALWAYS AS IDENTITY,
     kind text COLLATE "C" NOT NULL,
     payload text NOT NULL,
     state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'done', 'failed')),
     attempt integer NOT NULL DEFAULT 0,
     worker text,
     claimed_until timestamptz,
     result text,
     failure text
   );
   CREATE INDEX open_tasks ON headwater.tasks (kind, position) WHERE state = 'open';`,
];

/** Any constant: who migrates waits for who migrates already. */
const MIGRATION_LOCK = 0x48574d31;

/** Makes or updates the tables. Throws STORAGE_FAILED when a newer Headwater made them, or when writes would not be durable. */
export async function migrate(database: Database): Promise<void> {
  await database.run('look at the database', (send) => refuseVolatile(send, database.shown));
  await database.transaction('prepare the database', async (send) => {
    await send('SELECT pg_advisory_xact_lock($1)', [MIGRATION_LOCK]);
    const [found] = await send(`SELECT to_regclass('headwater.migrations') IS NOT NULL AS present`);
    if (found?.present !== true) await makeVersionTable(send);
    const [row] = await send('SELECT coalesce(max(version), 0)::int AS version FROM headwater.migrations');
    const version = Number(row?.version);
    if (version > MIGRATIONS.length) throw newerSchema(version, database.shown);
    for (const [index, statements] of MIGRATIONS.entries()) {
      if (index < version) continue;
      await send(statements);
      await send('INSERT INTO headwater.migrations (version) VALUES ($1)', [index + 1]);
    }
  });
}

async function makeVersionTable(send: Send): Promise<void> {
  // Even IF NOT EXISTS asks for the right to create schemas, which an operator may not want to give.
  const [found] = await send(`SELECT to_regnamespace('headwater') IS NOT NULL AS present`);
  if (found?.present !== true) await send('CREATE SCHEMA headwater');
  await send(
    'CREATE TABLE headwater.migrations (version integer PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())',
  );
}

/** What is acknowledged must survive a power cut. */
async function refuseVolatile(send: Send, shown: string): Promise<void> {
  const [row] = await send(
    `SELECT current_setting('fsync') AS fsync, current_setting('synchronous_commit') AS commit`,
  );
  if (row?.fsync !== 'off' && row?.commit !== 'off') return;
  throw new HeadwaterError(
    'STORAGE_FAILED',
    `the database acknowledges writes before they are on its disk (fsync = ${row?.fsync}, synchronous_commit = ${row?.commit})`,
    { where: shown, hint: 'Set both to on, for example ALTER DATABASE … SET synchronous_commit = on.' },
  );
}

function newerSchema(version: number, shown: string): HeadwaterError {
  return new HeadwaterError(
    'STORAGE_FAILED',
    `the tables have version ${version}, this Headwater knows versions up to ${MIGRATIONS.length}`,
    { where: shown, hint: 'Update Headwater on this machine: another one has updated the database.' },
  );
}
