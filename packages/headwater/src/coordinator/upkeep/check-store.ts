/** Whether everything that a store promises is there: every journal replays to what is kept of it, every blob is whole. */

import { canonicalJson } from '../../base/canonical.ts';
import { replay, start, step } from '../../federation/machine.ts';
import { eventsOf } from '../../runs/journal-events.ts';
import type { Blobs } from '../../storage/blobs.ts';
import { runCorrupt } from '../../storage/failures.ts';
import type { Store } from '../../storage/store.ts';
import { recover } from '../lead/recover.ts';
import { neededBlobs } from './retention.ts';

export interface CheckedStore {
  readonly runs: readonly CheckedRun[];
  /** Blobs that runs need, read and found whole. */
  readonly blobs: number;
  readonly bytes: number;
}

export interface CheckedRun {
  readonly run: string;
  readonly events: number;
  readonly status: string;
  /** Rounds that are closed. */
  readonly rounds: number;
}

/** Throws RUN_CORRUPT for the first thing that is damaged or missing; CONNECTION_FAILED, STORAGE_FAILED. */
export async function checkStore(
  store: Pick<Store, 'journals' | 'records'>,
  blobs: Pick<Blobs, 'stream'>,
): Promise<CheckedStore> {
  const runs: CheckedRun[] = [];
  for (const run of await store.journals.list()) runs.push(await checkRun(store, run));
  const { needed } = await neededBlobs(store);
  let bytes = 0;
  for (const digest of needed) for await (const piece of blobs.stream(digest)) bytes += piece.byteLength;
  return { runs, blobs: needed.size, bytes };
}

/** The whole journal, entry by entry, against the state that a restart would begin from. */
async function checkRun({ journals }: Pick<Store, 'journals'>, run: string): Promise<CheckedRun> {
  const journal = await journals.open(run);
  try {
    const events = await eventsOf(journal);
    if (events.length === 0) return { run, events: 0, status: 'waiting', rounds: 0 };
    const state = replay(events);
    const recovered = await recover(journal, { start, step });
    if (canonicalJson(recovered.state) !== canonicalJson(state))
      throw runCorrupt(`the snapshot of the run "${run}" is not what its journal says`, run);
    return { run, events: events.length, status: state.status, rounds: state.closed.length };
  } finally {
    await journal.close();
  }
}
