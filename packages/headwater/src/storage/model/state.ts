/**
 * A whole store as plain maps, and the rows that change it: what the store in memory and the store in a log file share.
 * A change sets or removes one row, so applying is trivial; deciding what to change is the business of the parts beside it.
 * JSON values are kept as canonical text, so that no caller can change what was stored.
 */

import { runCorrupt } from '../failures.ts';

export interface RecordRow {
  readonly collection: string;
  readonly key: string;
  readonly value: string;
  readonly version: number;
}

export interface LeaseRow {
  readonly key: string;
  /** Null after a release: the row stays, so that the epoch goes on growing. */
  readonly holder: string | null;
  readonly epoch: number;
  readonly untilMs: number;
}

export interface TaskRow {
  readonly id: string;
  readonly kind: string;
  readonly payload: string;
  readonly attempt: number;
  readonly worker: string | null;
  readonly untilMs: number;
  readonly result: string | null;
  readonly failure: string | null;
}

interface SnapshotRow {
  readonly run: string;
  readonly seq: number;
  readonly state: string;
}

export type Change =
  | { readonly set: 'record'; readonly row: RecordRow }
  | { readonly set: 'no-record'; readonly collection: string; readonly key: string }
  | { readonly set: 'lease'; readonly row: LeaseRow }
  | { readonly set: 'task'; readonly row: TaskRow }
  | { readonly set: 'no-task'; readonly id: string }
  /** Events behind the first `after` ones; none makes the journal. */
  | {
      readonly set: 'events';
      readonly run: string;
      readonly after: number;
      readonly events: readonly string[];
    }
  | { readonly set: 'snapshot'; readonly row: SnapshotRow }
  | { readonly set: 'no-journal'; readonly run: string };

interface JournalRows {
  readonly events: string[];
  snapshot: SnapshotRow | undefined;
}

export interface StoreState {
  readonly records: Map<string, Map<string, RecordRow>>;
  readonly leases: Map<string, LeaseRow>;
  /** In the order of their arrival. */
  readonly tasks: Map<string, TaskRow>;
  readonly journals: Map<string, JournalRows>;
}

export function emptyState(): StoreState {
  return { records: new Map(), leases: new Map(), tasks: new Map(), journals: new Map() };
}

/** Throws RUN_CORRUPT when events do not follow those that are there. */
export function applyChange(state: StoreState, change: Change, where: string): void {
  switch (change.set) {
    case 'record': {
      const { collection, key } = change.row;
      const rows = state.records.get(collection) ?? new Map<string, RecordRow>();
      state.records.set(collection, rows.set(key, change.row));
      return;
    }
    case 'no-record':
      state.records.get(change.collection)?.delete(change.key);
      return;
    case 'lease':
      state.leases.set(change.row.key, change.row);
      return;
    case 'task':
      state.tasks.set(change.row.id, change.row);
      return;
    case 'no-task':
      state.tasks.delete(change.id);
      return;
    case 'events':
      appendEvents(state, change, where);
      return;
    case 'snapshot': {
      const journal = state.journals.get(change.row.run);
      if (journal !== undefined) journal.snapshot = change.row;
      return;
    }
    case 'no-journal':
      state.journals.delete(change.run);
      return;
  }
}

function appendEvents(
  state: StoreState,
  change: { readonly run: string; readonly after: number; readonly events: readonly string[] },
  where: string,
): void {
  const journal = state.journals.get(change.run) ?? { events: [], snapshot: undefined };
  if (journal.events.length !== change.after)
    throw runCorrupt(
      `journal "${change.run}": entry ${journal.events.length + 1} is missing, the next one is ${change.after + 1}`,
      where,
    );
  for (const event of change.events) journal.events.push(event);
  state.journals.set(change.run, journal);
}

/** The changes that make this state out of an empty one. */
export function* changesOf(state: StoreState): Generator<Change> {
  for (const rows of state.records.values()) for (const row of rows.values()) yield { set: 'record', row };
  for (const row of state.leases.values()) yield { set: 'lease', row };
  for (const row of state.tasks.values()) yield { set: 'task', row };
  for (const [run, journal] of state.journals) {
    yield { set: 'events', run, after: 0, events: journal.events };
    if (journal.snapshot !== undefined) yield { set: 'snapshot', row: journal.snapshot };
  }
}
