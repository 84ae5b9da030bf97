/** The snapshot of a journal: kept with a digest of its own and with the chain's link at its entry. */

import { canonicalJson, digestBytes } from '../../base/canonical.ts';
import type { Json, Snapshot } from '../journal.ts';
import type { Send } from './database.ts';

/** A snapshot of an entry that does not exist, or older than the stored one, is not kept. */
export async function saveSnapshot(send: Send, run: string, { seq, state }: Snapshot): Promise<void> {
  const text = canonicalJson(state);
  await send(SAVE, [run, seq, text, digestOf(text)]);
}

const SAVE = `
  INSERT INTO headwater.snapshots AS kept (run, seq, link, state, digest)
  SELECT $1, $2, link, $3, $4 FROM headwater.events WHERE run = $1 AND seq = $2
  ON CONFLICT (run) DO UPDATE
  SET seq = excluded.seq, link = excluded.link, state = excluded.state, digest = excluded.digest
  WHERE kept.seq <= excluded.seq`;

export async function loadSnapshot(send: Send, run: string): Promise<Snapshot | undefined> {
  const [row] = await send(LOAD, [run]);
  if (row === undefined || digestOf(row.state as string) !== row.digest) return undefined;
  return { seq: Number(row.seq), state: JSON.parse(row.state as string) as Json };
}

const LOAD = `
  SELECT snapshots.seq, state, digest FROM headwater.snapshots
  JOIN headwater.events ON events.run = snapshots.run AND events.seq = snapshots.seq AND events.link = snapshots.link
  WHERE snapshots.run = $1`;

function digestOf(text: string): string {
  return digestBytes(new TextEncoder().encode(text));
}
