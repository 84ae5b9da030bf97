/**
 * The default Journal: one SQLite file (WAL, synchronous=FULL: an appended event survives a power cut). Each row carries
 * its link of the hash chain, so damage that SQLite itself cannot see is found on reading.
 */

import { existsSync, renameSync, rmSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { canonicalJson } from '../base/canonical.ts';
import type { HeadwaterError } from '../base/errors.ts';
import { storageError } from '../base/io-errors.ts';
import { FIRST_LINK, nextLink } from './chain.ts';
import { runCorrupt, staleWriter } from './failures.ts';
import type { Journal, JournalEntry, Json } from './journal.ts';

/** "HWJ1": tells our files from other SQLite files. */
const APPLICATION_ID = 0x48574a31;
const FORMAT_VERSION = 1;
const BUSY_TIMEOUT_MS = 5000;

interface Row {
  readonly seq: number;
  readonly event: string;
  readonly link: string;
}

/** Opens or creates the file. Throws RUN_CORRUPT when it is something else, STORAGE_FAILED when it cannot be opened. */
export function openSqliteJournal(path: string, options: { readonly readOnly?: boolean } = {}): Journal {
  const readOnly = options.readOnly === true;
  if (!readOnly && !existsSync(path)) guarded('create the journal', path, () => createWhole(path));
  const database = guarded('open the journal', path, () => connect(path, readOnly));
  try {
    guarded('open the journal', path, () => checkFormat(database, path, readOnly));
    const entries = guarded('read the journal', path, () => readRows(database, path));
    return journalOver(database, path, entries);
  } catch (error) {
    database.close();
    throw error;
  }
}

function connect(path: string, readOnly: boolean): DatabaseSync {
  return new DatabaseSync(path, { readOnly, timeout: BUSY_TIMEOUT_MS });
}

function checkFormat(database: DatabaseSync, path: string, readOnly: boolean): void {
  if (pragma(database, 'application_id') !== APPLICATION_ID)
    throw runCorrupt('this file is not a Headwater journal', path);
  const version = pragma(database, 'user_version');
  if (version !== FORMAT_VERSION)
    throw runCorrupt(
      `journal format ${version}, this version of Headwater reads format ${FORMAT_VERSION}`,
      path,
    );
  if (!readOnly) database.exec('PRAGMA synchronous = FULL');
}

/** Under another name first: nobody, not even after a crash, meets a journal without its table. */
function createWhole(path: string): void {
  const temporary = `${path}.${process.pid}.tmp`;
  const remove = () => {
    for (const ending of ['', '-wal', '-shm']) rmSync(temporary + ending, { force: true });
  };
  remove();
  try {
    fillNew(temporary);
    renameSync(temporary, path);
  } catch (error) {
    remove();
    throw error;
  }
}

function fillNew(temporary: string): void {
  const database = connect(temporary, false);
  database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL');
  database.exec(`BEGIN IMMEDIATE;
    PRAGMA application_id = ${APPLICATION_ID};
    PRAGMA user_version = ${FORMAT_VERSION};
    CREATE TABLE events (seq INTEGER PRIMARY KEY, event TEXT NOT NULL, link TEXT NOT NULL) STRICT;
    COMMIT;`);
  database.close();
}

function pragma(database: DatabaseSync, name: string): number {
  const row = database.prepare(`PRAGMA ${name}`).get() as Record<string, number>;
  return row[name] ?? 0;
}

function readRows(database: DatabaseSync, path: string): { entries: JournalEntry[]; link: string } {
  const rows = database.prepare('SELECT seq, event, link FROM events ORDER BY seq').all() as unknown as Row[];
  let link = FIRST_LINK;
  const entries = rows.map((row, index) => {
    if (row.seq !== index + 1)
      throw runCorrupt(`journal entry ${index + 1} is missing (found ${row.seq} instead)`, path);
    link = nextLink(link, row.event);
    if (link !== row.link)
      throw runCorrupt(`journal entry ${row.seq} is damaged: its check sum is wrong`, path);
    return { seq: row.seq, event: JSON.parse(row.event) as Json };
  });
  return { entries, link };
}

function journalOver(
  database: DatabaseSync,
  path: string,
  read: { entries: JournalEntry[]; link: string },
): Journal {
  let lastSeq = read.entries.length;
  let link = read.link;

  function insertAll(events: readonly Json[], expectedSeq: number): string {
    const stored = database.prepare('SELECT coalesce(max(seq), 0) AS n FROM events').get() as { n: number };
    if (stored.n !== expectedSeq) throw staleWriter(expectedSeq, stored.n, path);
    const insert = database.prepare('INSERT INTO events (seq, event, link) VALUES (?, ?, ?)');
    let last = link;
    for (const [index, event] of events.entries()) {
      const text = canonicalJson(event);
      last = nextLink(last, text);
      insert.run(expectedSeq + index + 1, text, last);
    }
    return last;
  }

  return {
    get lastSeq() {
      return lastSeq;
    },
    async append(events, expectedSeq) {
      if (expectedSeq !== lastSeq) throw staleWriter(expectedSeq, lastSeq, path);
      const written = guarded('append to the journal', path, () =>
        transaction(database, () => insertAll(events, expectedSeq)),
      );
      link = written;
      lastSeq += events.length;
      return lastSeq;
    },
    readAll: async () => guarded('read the journal', path, () => readRows(database, path).entries),
    readAfter: async (seq) =>
      guarded('read the journal', path, () => readRows(database, path).entries.slice(seq)),
    // Snapshots arrive with format 2; without one a restart replays everything.
    saveSnapshot: async () => undefined,
    loadSnapshot: async () => undefined,
    close: async () => database.close(),
  };
}

function transaction<T>(database: DatabaseSync, body: () => T): T {
  database.exec('BEGIN IMMEDIATE');
  try {
    const result = body();
    database.exec('COMMIT');
    return result;
  } catch (error) {
    if (database.isTransaction) database.exec('ROLLBACK');
    throw error;
  }
}

// Result codes of https://sqlite.org/rescode.html (primary code = low 8 bits).
const SQLITE_CORRUPT = 11;
const SQLITE_NOTADB = 26;
const CODE_NAMES: Record<number, string> = {
  3: 'EACCES',
  8: 'EROFS',
  10: 'EIO',
  13: 'ENOSPC',
  14: 'ENOENT',
  23: 'EACCES',
};

function guarded<T>(action: string, path: string, body: () => T): T {
  try {
    return body();
  } catch (error) {
    throw translated(action, path, error);
  }
}

function translated(action: string, path: string, error: unknown): HeadwaterError | unknown {
  const { errcode } = error as { errcode?: number };
  if (errcode === undefined) return error;
  const primary = errcode & 0xff;
  if (primary === SQLITE_CORRUPT || primary === SQLITE_NOTADB)
    return runCorrupt(`the journal is damaged: ${(error as Error).message}`, path, error);
  const code = CODE_NAMES[primary];
  const cause = code === undefined ? (error as Error) : Object.assign(error as Error, { code });
  return storageError(cause, action, path);
}
