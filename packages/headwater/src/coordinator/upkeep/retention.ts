/**
 * What a coordinator's store may forget: uploads that nobody continues, runs that ended long ago, blobs that no run needs.
 * Everything is decided from the journals; when in doubt it is kept. It never runs by itself: `serve` and `headwater gc` do.
 */

import type { Clock } from '../../base/clock.ts';
import { HeadwaterError } from '../../base/errors.ts';
import type { RunEvent } from '../../federation/events.ts';
import { start, step } from '../../federation/machine.ts';
import { liveBlobs } from '../../federation/outstanding.ts';
import type { RunState } from '../../federation/state.ts';
import type { Blobs } from '../../storage/blobs.ts';
import type { Journal } from '../../storage/journal.ts';
import type { Store } from '../../storage/store.ts';
import { leaseOf } from '../lead/leadership.ts';
import { recover } from '../lead/recover.ts';
import type { Machine } from '../ports.ts';
import { listRecords, type RunRecord } from '../records.ts';

export interface RetentionParts {
  readonly store: Pick<Store, 'journals' | 'records'>;
  readonly blobs: Pick<Blobs, 'list' | 'uploads'>;
  readonly clock: Clock;
  /**
   * Deletes blobs that no journal refers to, but for those that somebody is about to need. Absent: blobs are left alone,
   * as where several processes write to one place.
   */
  readonly collect?: (orphans: readonly string[]) => Promise<void>;
  readonly machine?: Machine;
}

export interface RetentionRules {
  /** A run that ended is forgotten after so long; null: never. */
  readonly keepEndedMs: number | null;
  /** An upload that was not continued for so long is dropped. */
  readonly uploadGraceMs: number;
}

export interface Forgotten {
  readonly runs: readonly string[];
  readonly uploads: number;
  /** Blobs that no run refers to; null: not looked for. */
  readonly orphans: number | null;
}

/** Throws RUN_CORRUPT, STORAGE_FAILED; what was forgotten until then stays so. */
export async function applyRetention(parts: RetentionParts, rules: RetentionRules): Promise<Forgotten> {
  const uploads = await dropUploads(parts, rules.uploadGraceMs);
  const runs = rules.keepEndedMs === null ? [] : await forgetRuns(parts, rules.keepEndedMs);
  return { runs, uploads, orphans: await sweepBlobs(parts) };
}

/** Blobs may only be swept where nobody is about to refer to one. Throws RUN_LOCKED. */
export async function refuseWhileLed({ records, leases }: Pick<Store, 'records' | 'leases'>): Promise<void> {
  for (const { key } of await listRecords(records, 'runs')) {
    const holder = await leases.holderOf(leaseOf(key));
    if (holder === undefined) continue;
    throw new HeadwaterError('RUN_LOCKED', `the run "${key}" is led by a coordinator (${holder})`, {
      hint: 'Stop the coordinators first. After a crash their leases run out within a minute.',
    });
  }
}

async function dropUploads({ blobs, clock }: RetentionParts, graceMs: number): Promise<number> {
  const before = clock.nowMs() - graceMs;
  const abandoned = (await blobs.uploads.list()).filter(({ modifiedMs }) => modifiedMs < before);
  for (const { key } of abandoned) await blobs.uploads.drop(key);
  return abandoned.length;
}

async function forgetRuns({ store, clock }: RetentionParts, keepMs: number): Promise<string[]> {
  const forgotten: string[] = [];
  for (const { key, value } of await listRecords(store.records, 'runs')) {
    if (value.over === null) continue;
    if ((await endedMs(store, key, value)) >= clock.nowMs() - keepMs) continue;
    await forgetRun(store, key);
    forgotten.push(key);
  }
  return forgotten;
}

/** When the last event was written; a run that never began ended when it was made. */
async function endedMs(
  { journals }: Pick<Store, 'journals'>,
  run: string,
  record: RunRecord,
): Promise<number> {
  if (!(await journals.list()).includes(run)) return record.createdMs;
  return reading(journals, run, async (journal) => {
    const [last] = await journal.readAfter(Math.max(0, journal.lastSeq - 1));
    const observed = (last?.event as RunEvent | undefined)?.observed as { endedMs?: number } | undefined;
    return observed?.endedMs ?? record.createdMs;
  });
}

/** The record of the run goes last: an interrupted removal is taken up again. */
async function forgetRun({ journals, records }: RetentionParts['store'], run: string): Promise<void> {
  for (const collection of ['clients', 'owners', 'enrolments', 'noise-keys'] as const)
    for (const { key } of await listRecords(records, collection, `${run}/`))
      await records.delete(collection, key);
  for (const { key, value } of await listRecords(records, 'tokens'))
    if (value.run === run) await records.delete('tokens', key);
  await journals.remove(run);
  await records.delete('runs', run);
}

async function sweepBlobs({ store, blobs, collect, machine }: RetentionParts): Promise<number | null> {
  if (collect === undefined) return null;
  // Listed first: a blob made while the journals are read is not among them.
  const stored = await blobs.list();
  const { needed, states } = await neededBlobs(store, machine);
  // Workers may hold partial sums that only their tasks name.
  if ([...states.values()].some(({ open }) => open?.phase === 'aggregating')) return null;
  const orphans = stored.filter((digest) => !needed.has(digest));
  await collect(orphans);
  return orphans.length;
}

/** Every blob that a run still needs, and the state of every run that has begun. Throws RUN_CORRUPT, STORAGE_FAILED. */
export async function neededBlobs(
  { journals, records }: RetentionParts['store'],
  machine: Machine = { start, step },
): Promise<{ readonly needed: ReadonlySet<string>; readonly states: ReadonlyMap<string, RunState> }> {
  const states = new Map<string, RunState>();
  for (const run of await journals.list()) {
    const { state } = await reading(journals, run, (journal) => recover(journal, machine));
    if (state !== undefined) states.set(run, state);
  }
  const kept = new Map(
    (await listRecords(records, 'runs')).map(({ key, value }) => [key, value.over?.blobs] as const),
  );
  const needed = [...states].flatMap(([run, state]) => [...(kept.get(run) ?? liveBlobs(state))]);
  return { needed: new Set(needed), states };
}

async function reading<T>(
  journals: Store['journals'],
  run: string,
  read: (journal: Journal) => Promise<T>,
): Promise<T> {
  const journal = await journals.open(run);
  try {
    return await read(journal);
  } finally {
    await journal.close();
  }
}
