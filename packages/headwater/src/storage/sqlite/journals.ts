/**
 * Journals in SQLite. Each row carries its link of the hash chain, so damage that SQLite itself cannot see is found on
 * reading; a snapshot carries the link that would follow its entry, so it fits this journal or is no snapshot.
 */

import { canonicalJson } from '../../base/canonical.ts';
import { assert } from '../../base/errors.ts';
import { FIRST_LINK, nextLink } from '../chain.ts';
import { lostLease, missingEntry, removedJournal, runCorrupt, staleWriter } from '../failures.ts';
import type { Journal, JournalEntry, Json, Snapshot } from '../journal.ts';
import type { Fence, Journals } from '../store.ts';
import type { Database } from './database.ts';
import { isHeldBy } from './leases.ts';

export function sqliteJournals(database: Database): Journals {
  return {
    async open(run, fence) {
      const known = await database.read('open the journal', () => isKnown(database, run));
      if (!known) await database.write('make the journal', () => makeJournal(database, run));
      return journalOver(database, run, fence);
    },
    list: () =>
      database.read('list the journals', () =>
        database.all('SELECT run FROM journals ORDER BY run').map((row) => row.run as string),
      ),
    remove: (run) =>
      database.write('remove a journal', () => {
        database.run('DELETE FROM events WHERE run = ?', run);
        database.run('DELETE FROM journals WHERE run = ?', run);
      }),
  };
}

function isKnown(database: Database, run: string): boolean {
  return database.get('SELECT 1 FROM journals WHERE run = ?', run) !== undefined;
}

export function makeJournal(database: Database, run: string): void {
  database.run('INSERT INTO journals (run) VALUES (?) ON CONFLICT (run) DO NOTHING', run);
}

export function journalOver(database: Database, run: string, fence?: Fence): Journal {
  let { seq: lastSeq } = tailOf(database, run);
  const readAfter = (seq: number) =>
    database.read('read the journal', () => {
      const entries = readEntries(database, run, seq);
      lastSeq = seq + entries.length;
      return entries;
    });
  return {
    get lastSeq() {
      return lastSeq;
    },
    async append(events, expectedSeq) {
      const write = () => appendEvents(database, run, events, expectedSeq, fence);
      lastSeq = await database.write('append to the journal', write);
      return lastSeq;
    },
    readAll: () => readAfter(0),
    readAfter,
    saveSnapshot: (snapshot) =>
      database.write('keep a snapshot', () => saveSnapshot(database, run, snapshot)),
    loadSnapshot: () => database.read('read the snapshot', () => loadSnapshot(database, run)),
    close: async () => undefined,
  };
}

interface Link {
  readonly seq: number;
  readonly link: string;
}

function tailOf(database: Database, run: string): Link {
  const row = database.get('SELECT seq, link FROM events WHERE run = ? ORDER BY seq DESC LIMIT 1', run);
  return row === undefined
    ? { seq: 0, link: FIRST_LINK }
    : { seq: row.seq as number, link: row.link as string };
}

function linkAt(database: Database, run: string, seq: number): string | undefined {
  if (seq === 0) return FIRST_LINK;
  return database.get('SELECT link FROM events WHERE run = ? AND seq = ?', run, seq)?.link as
    | string
    | undefined;
}

function appendEvents(
  database: Database,
  run: string,
  events: readonly Json[],
  expectedSeq: number,
  fence: Fence | undefined,
): number {
  if (fence !== undefined && !isHeldBy(database, fence)) throw lostLease(fence, database.path);
  if (!isKnown(database, run)) throw removedJournal(run, database.path);
  let { seq, link } = tailOf(database, run);
  if (seq !== expectedSeq) throw staleWriter(expectedSeq, seq, database.path);
  for (const event of events) {
    const text = canonicalJson(event);
    link = nextLink(link, text);
    seq += 1;
    database.run('INSERT INTO events (run, seq, event, link) VALUES (?, ?, ?, ?)', run, seq, text, link);
  }
  return seq;
}

/** Throws RUN_CORRUPT when an entry behind `after` is missing or breaks the chain. */
export function readEntries(database: Database, run: string, after: number): JournalEntry[] {
  let link = linkAt(database, run, after);
  if (link === undefined) throw missingEntry(after, database.path);
  const rows = database.all(
    'SELECT seq, event, link FROM events WHERE run = ? AND seq > ? ORDER BY seq',
    run,
    after,
  ) as unknown as { seq: number; event: string; link: string }[];
  return rows.map((row, index) => {
    const seq = after + index + 1;
    if (row.seq !== seq) throw missingEntry(seq, database.path);
    link = nextLink(link as string, row.event);
    if (link !== row.link)
      throw runCorrupt(`journal entry ${seq} is damaged: its check sum is wrong`, database.path);
    return { seq, event: JSON.parse(row.event) as Json };
  });
}

function saveSnapshot(database: Database, run: string, { seq, state }: Snapshot): void {
  const link = linkAt(database, run, seq);
  assert(link !== undefined, `a snapshot at ${seq} is ahead of the journal`);
  const text = canonicalJson(state);
  database.run(
    `UPDATE journals SET snapshot_seq = ?2, snapshot = ?3, snapshot_link = ?4
     WHERE run = ?1 AND coalesce(snapshot_seq, -1) <= ?2`,
    run,
    seq,
    text,
    nextLink(link, text),
  );
}

function loadSnapshot(database: Database, run: string): Snapshot | undefined {
  const row = database.get('SELECT snapshot_seq, snapshot, snapshot_link FROM journals WHERE run = ?', run) as
    | { snapshot_seq: number; snapshot: string; snapshot_link: string }
    | undefined;
  if (row === undefined || row.snapshot_seq === null) return undefined;
  const link = linkAt(database, run, row.snapshot_seq);
  if (link === undefined || nextLink(link, row.snapshot) !== row.snapshot_link) return undefined;
  return { seq: row.snapshot_seq, state: JSON.parse(row.snapshot) as Json };
}
