/**
 * Journals over PostgreSQL. An append is one statement, and so one transaction and one flush: it moves the head of the
 * run, checks the writer's lease and inserts the events, or changes nothing. Rows carry the hash chain of `chain.ts`.
 */

import { randomUUID } from 'node:crypto';
import { canonicalJson } from '../../base/canonical.ts';
import type { HeadwaterError } from '../../base/errors.ts';
import { FIRST_LINK, nextLink } from '../chain.ts';
import { lostLease, runCorrupt, staleWriter } from '../failures.ts';
import type { Journal, Json } from '../journal.ts';
import type { Fence, Journals } from '../store.ts';
import type { Database, Send } from './database.ts';
import { type Head, readEntries } from './entries.ts';
import { loadSnapshot, saveSnapshot } from './snapshots.ts';

export function postgresJournals(database: Database): Journals {
  return {
    open: async (run, fence) => journalOver(database, run, await makeHead(database, run), fence),
    list: () =>
      database.run('list the journals', async (send) => {
        const rows = await send('SELECT run FROM headwater.journals ORDER BY run');
        return rows.map((row) => row.run as string);
      }),
    remove: (run) =>
      database.transaction('remove a journal', async (send) => {
        // The head first: it waits for appends under way, and later ones find no head.
        for (const table of ['journals', 'events', 'snapshots'])
          await send(`DELETE FROM headwater.${table} WHERE run = $1`, [run]);
      }),
  };
}

function makeHead(database: Database, run: string): Promise<Head> {
  return database.run('open the journal', async (send) => {
    await send(
      `INSERT INTO headwater.journals (run, last_seq, last_link) VALUES ($1, 0, $2) ON CONFLICT DO NOTHING`,
      [run, FIRST_LINK],
    );
    return readHead(send, run, database.shown);
  });
}

async function readHead(send: Send, run: string, where: string): Promise<Head> {
  const [row] = await send('SELECT last_seq, last_link FROM headwater.journals WHERE run = $1', [run]);
  if (row === undefined) throw runCorrupt(`the journal of run "${run}" was removed`, where);
  return { seq: Number(row.last_seq), link: row.last_link as string };
}

function journalOver(database: Database, run: string, opened: Head, fence: Fence | undefined): Journal {
  const where = `${database.shown}, run "${run}"`;
  let head = opened;
  const readFrom = async (seq: number) => {
    const read = await database.run('read the journal', (send) => readEntries(send, run, seq, where));
    if (read.head.seq > head.seq) head = read.head;
    return read.entries;
  };
  return {
    get lastSeq() {
      return head.seq;
    },
    async append(events, expectedSeq) {
      // Another handle on the same journal may have appended.
      if (expectedSeq !== head.seq)
        head = await database.run('read the journal', (send) => readHead(send, run, where));
      if (expectedSeq !== head.seq) throw staleWriter(expectedSeq, head.seq, where);
      const append = appendOf(run, events, head, fence);
      await database.run('append to the journal', (send, attempt) => write(send, append, attempt, where));
      head = append.after;
      return head.seq;
    },
    readAll: () => readFrom(0),
    readAfter: readFrom,
    saveSnapshot: (snapshot) => database.run('keep a snapshot', (send) => saveSnapshot(send, run, snapshot)),
    loadSnapshot: () => database.run('read the snapshot', (send) => loadSnapshot(send, run)),
    close: async () => undefined,
  };
}

interface Append {
  readonly run: string;
  readonly before: Head;
  readonly after: Head;
  readonly texts: readonly string[];
  readonly links: readonly string[];
  readonly fence: Fence | undefined;
  /** Tells our own append from another's when the answer was lost. */
  readonly id: string;
}

function appendOf(run: string, events: readonly Json[], before: Head, fence: Fence | undefined): Append {
  const texts = events.map(canonicalJson);
  const links: string[] = [];
  for (const text of texts) links.push(nextLink(links.at(-1) ?? before.link, text));
  const after = { seq: before.seq + texts.length, link: links.at(-1) ?? before.link };
  return { run, before, after, texts, links, fence, id: randomUUID() };
}

async function write(send: Send, append: Append, attempt: number, where: string): Promise<void> {
  const { run, before, after, texts, links, fence, id } = append;
  const [row] = await send(APPEND, [
    run,
    before.seq,
    after.seq,
    after.link,
    texts,
    links,
    id,
    fence?.key ?? null,
    fence?.holder ?? null,
    fence?.epoch ?? null,
  ]);
  if (Number(row?.moved) === 1) return;
  if (attempt > 0 && (await isWritten(send, append))) return;
  throw await refusal(send, append, where);
}

/**
 * The lease is read FOR SHARE: whoever takes it over waits until this append is in, and an append that waited for a
 * takeover sees the new holder. $8–$10 are null without a fence.
 */
const APPEND = `
  WITH lease AS MATERIALIZED (
    SELECT 1 FROM headwater.leases WHERE key = $8 AND holder = $9 AND epoch = $10 FOR SHARE
  ), moved AS (
    UPDATE headwater.journals SET last_seq = $3, last_link = $4
    WHERE run = $1 AND last_seq = $2 AND ($8::text IS NULL OR EXISTS (SELECT 1 FROM lease))
    RETURNING 1
  ), written AS (
    INSERT INTO headwater.events (run, seq, event, link, append_id)
    SELECT $1, $2 + position, event, link, $7
    FROM unnest($5::text[], $6::text[]) WITH ORDINALITY AS new (event, link, position)
    WHERE EXISTS (SELECT 1 FROM moved)
  )
  SELECT count(*) AS moved FROM moved`;

/** Whether an earlier attempt went through and only its answer was lost. */
async function isWritten(send: Send, { run, after, id }: Append): Promise<boolean> {
  const [row] = await send('SELECT append_id FROM headwater.events WHERE run = $1 AND seq = $2', [
    run,
    after.seq,
  ]);
  return row?.append_id === id;
}

async function refusal(send: Send, { run, before, fence }: Append, where: string): Promise<HeadwaterError> {
  const { seq } = await readHead(send, run, where);
  if (seq !== before.seq || fence === undefined) return staleWriter(before.seq, seq, where);
  return lostLease(fence, where);
}
