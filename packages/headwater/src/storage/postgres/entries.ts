/** Reads events of a journal and checks them against the hash chain. It writes nothing. */

import { FIRST_LINK, nextLink } from '../chain.ts';
import { missingEntry, runCorrupt } from '../failures.ts';
import type { JournalEntry, Json } from '../journal.ts';
import type { Row, Send } from './database.ts';

/** Where a journal ends. */
export interface Head {
  readonly seq: number;
  readonly link: string;
}

/** Everything after `seq`. Throws RUN_CORRUPT. */
export async function readEntries(
  send: Send,
  run: string,
  seq: number,
  where: string,
): Promise<{ readonly entries: JournalEntry[]; readonly head: Head }> {
  // One statement sees one moment: head and events of the same commit.
  const rows = await send(READ, [run, seq]);
  const [first] = rows;
  if (first === undefined) throw runCorrupt('the journal was removed', where);
  const start = seq === 0 ? FIRST_LINK : (first.start as string | null);
  const head = { seq: Number(first.last_seq), link: first.last_link as string };
  if (seq > head.seq || start === null) throw missingEntry(Math.max(seq, 1), where);
  return { entries: checked(rows, { seq, link: start }, head, where), head };
}

const READ = `
  SELECT last_seq, last_link, seq, event, link,
    (SELECT link FROM headwater.events AS start WHERE start.run = $1 AND start.seq = $2) AS start
  FROM headwater.journals LEFT JOIN headwater.events ON events.run = journals.run AND events.seq > $2
  WHERE journals.run = $1 ORDER BY seq`;

function checked(rows: readonly Row[], start: Head, head: Head, where: string): JournalEntry[] {
  let { seq, link } = start;
  const entries: JournalEntry[] = [];
  for (const row of rows) {
    if (row.seq === null) continue;
    seq += 1;
    if (row.seq !== seq)
      throw runCorrupt(`journal entry ${seq} is missing (found ${row.seq} instead)`, where);
    link = nextLink(link, row.event as string);
    if (link !== row.link) throw runCorrupt(`journal entry ${seq} is damaged: its check sum is wrong`, where);
    entries.push({ seq, event: JSON.parse(row.event as string) as Json });
  }
  if (seq !== head.seq || link !== head.link)
    throw runCorrupt(`the journal ends at entry ${seq}, expected ${head.seq}`, where);
  return entries;
}
