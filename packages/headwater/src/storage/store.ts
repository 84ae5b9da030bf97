/**
 * The Store port: everything that a coordinator keeps beside blobs, on one machine (SQLite) or for many processes over one
 * database (PostgreSQL). Small parts with one contract each; `openStore` implementations pass the same conformance suite.
 */

import type { Journal, Json } from './journal.ts';

/** Proof of being the one writer of something: every write with an older epoch is refused. */
export interface Fence {
  readonly key: string;
  readonly holder: string;
  /** Grows with every change of the holder. */
  readonly epoch: number;
}

export interface Journals {
  /**
   * Opens (and makes) the journal of a run. With a fence every append checks, in the same transaction, that the lease is
   * still this one (nobody else took it; its time may have run out). Throws RUN_CORRUPT, STORAGE_FAILED.
   */
  open(run: string, fence?: Fence): Promise<Journal>;
  /** Names of the runs that have a journal, sorted. */
  list(): Promise<string[]>;
  remove(run: string): Promise<void>;
}

export interface StoredRecord {
  readonly value: Json;
  /** Grows by one with every write of this key. */
  readonly version: number;
}

/** Small JSON records by collection and key (`clients`, `tokens`, `runs` …), durable when the call resolves. */
export interface Records {
  get(collection: string, key: string): Promise<StoredRecord | undefined>;
  /**
   * Writes when the stored version is `expectedVersion` (0: there must be none), and gives the new version.
   * Resolves to undefined, writing nothing, when it is another: somebody was faster.
   */
  put(collection: string, key: string, value: Json, expectedVersion: number): Promise<number | undefined>;
  /** All of a collection, sorted by key; with a prefix only keys that begin so. */
  list(collection: string, prefix?: string): Promise<(StoredRecord & { readonly key: string })[]>;
  delete(collection: string, key: string): Promise<void>;
  /**
   * Removes from the store's own files what deleted and replaced values left there. Absent where that is the business of whoever
   * runs the database (vacuum, archived logs).
   */
  scrub?(): Promise<void>;
}

/** At most one holder at a time. Times are the store's own clock, never the caller's. */
export interface Leases {
  /** The lease when it is free, run out, or already this holder's (then renewed, same epoch); undefined when it is another's. */
  acquire(key: string, holder: string, ttlMs: number): Promise<Fence | undefined>;
  /** False when it was lost. */
  renew(fence: Fence, ttlMs: number): Promise<boolean>;
  /** Nobody else took it since; its time may have run out. Whoever takes it later finds everything written before. */
  holds(fence: Fence): Promise<boolean>;
  release(fence: Fence): Promise<void>;
  /** Who holds it now. */
  holderOf(key: string): Promise<string | undefined>;
}

export interface Task {
  readonly id: string;
  readonly kind: string;
  readonly payload: Json;
  /** How often it was claimed, this time included. */
  readonly attempt: number;
}

/** Work for stateless workers. A task is done at least once; equal ids are one task. */
export interface Tasks {
  /** Ids that exist already (also finished ones) are left as they are. */
  enqueue(
    tasks: readonly { readonly id: string; readonly kind: string; readonly payload: Json }[],
  ): Promise<void>;
  /** Up to `max` tasks that nobody holds or whose holder let `ttlMs` pass (SKIP LOCKED on PostgreSQL). */
  claim(worker: string, kinds: readonly string[], max: number, ttlMs: number): Promise<Task[]>;
  /** False for each task that is not this worker's any more. */
  heartbeat(worker: string, ids: readonly string[], ttlMs: number): Promise<readonly boolean[]>;
  /**
   * The first result stays; a second, equal one is fine. Throws RUN_CORRUPT when it differs (tasks are pure). A task that
   * was deleted or given up needs no result any more.
   */
  finish(id: string, result: Json): Promise<void>;
  /** Gives it back (or up, after `maxAttempts`). */
  fail(id: string, reason: string, maxAttempts: number): Promise<void>;
  /** By id; undefined where it is not finished. */
  results(ids: readonly string[]): Promise<readonly (TaskOutcome | undefined)[]>;
  delete(ids: readonly string[]): Promise<void>;
}

export type TaskOutcome = { readonly result: Json } | { readonly failure: string };

/** Hints that something changed. They may be lost or come twice: whoever waits looks again now and then. */
export interface Wakeups {
  publish(topic: string): Promise<void>;
  /** Returns how to stop listening. */
  subscribe(topic: string, listener: () => void): () => void;
}

export interface Store {
  readonly journals: Journals;
  readonly records: Records;
  readonly leases: Leases;
  readonly tasks: Tasks;
  readonly wakeups: Wakeups;
  close(): Promise<void>;
}
