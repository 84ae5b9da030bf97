/**
 * The tables of a store in one SQLite file, their format number, and how files of the previous format become this one.
 * Format 1 held the journal of one run and nothing else.
 */

import type { DatabaseSync } from 'node:sqlite';
import { runCorrupt } from '../failures.ts';

/** "HWJ1": tells our files from other SQLite files, in every format. */
const APPLICATION_ID = 0x48574a31;
const FORMAT_VERSION = 2;

/** The name of the only journal in the file of a run folder. */
export const ONLY_RUN = 'run';

const TABLES = `
  CREATE TABLE journals (run TEXT PRIMARY KEY, snapshot_seq INTEGER, snapshot TEXT, snapshot_link TEXT) STRICT;
  CREATE TABLE events (
    run TEXT NOT NULL, seq INTEGER NOT NULL, event TEXT NOT NULL, link TEXT NOT NULL, PRIMARY KEY (run, seq)
  ) STRICT;
  CREATE TABLE records (
    collection TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, version INTEGER NOT NULL,
    PRIMARY KEY (collection, key)
  ) STRICT;
  CREATE TABLE leases (key TEXT PRIMARY KEY, holder TEXT, epoch INTEGER NOT NULL, until_ms INTEGER NOT NULL) STRICT;
  CREATE TABLE tasks (
    position INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, payload TEXT NOT NULL,
    attempt INTEGER NOT NULL DEFAULT 0, worker TEXT, until_ms INTEGER NOT NULL DEFAULT 0, result TEXT, failure TEXT
  ) STRICT;
  CREATE INDEX open_tasks ON tasks (position) WHERE result IS NULL AND failure IS NULL;`;

/** Fills an empty file. */
export function createTables(database: DatabaseSync): void {
  database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL');
  database.exec(`BEGIN IMMEDIATE;
    PRAGMA application_id = ${APPLICATION_ID};
    PRAGMA user_version = ${FORMAT_VERSION};
    ${TABLES}
    COMMIT`);
}

/** Throws RUN_CORRUPT for another kind of file and for a format of the future; brings an older one up to date. */
export function checkFormat(database: DatabaseSync, path: string, readOnly: boolean): void {
  if (pragma(database, 'application_id') !== APPLICATION_ID)
    throw runCorrupt('this file is not a Headwater journal', path);
  const version = pragma(database, 'user_version');
  if (version === FORMAT_VERSION) return;
  if (version !== 1)
    throw runCorrupt(
      `journal format ${version}, this version of Headwater reads formats 1 to ${FORMAT_VERSION}`,
      path,
    );
  if (readOnly) database.exec(FORMAT_1_AS_VIEWS);
  else migrate(database);
}

function pragma(database: DatabaseSync, name: string): number {
  const row = database.prepare(`PRAGMA ${name}`).get() as Record<string, number>;
  return row[name] ?? 0;
}

/** A reader leaves the file as it is: temporary views stand before the tables of the same name. */
const FORMAT_1_AS_VIEWS = `
  CREATE TEMP VIEW events AS SELECT '${ONLY_RUN}' AS run, seq, event, link FROM main.events;
  CREATE TEMP VIEW journals AS
    SELECT '${ONLY_RUN}' AS run, NULL AS snapshot_seq, NULL AS snapshot, NULL AS snapshot_link`;

function migrate(database: DatabaseSync): void {
  database.exec('BEGIN IMMEDIATE');
  try {
    // Somebody else may have done it while we waited for the lock.
    if (pragma(database, 'user_version') === 1)
      database.exec(`
        ALTER TABLE events RENAME TO events_1;
        ${TABLES}
        INSERT INTO journals (run) VALUES ('${ONLY_RUN}');
        INSERT INTO events (run, seq, event, link) SELECT '${ONLY_RUN}', seq, event, link FROM events_1 ORDER BY seq;
        DROP TABLE events_1;
        PRAGMA user_version = ${FORMAT_VERSION}`);
    database.exec('COMMIT');
  } catch (error) {
    if (database.isTransaction) database.exec('ROLLBACK');
    throw error;
  }
}
