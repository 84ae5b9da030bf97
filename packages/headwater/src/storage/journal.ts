/**
 * The Journal port: the append-only, ordered, durable list of a run's events. The journal *is* the run: restart = replay.
 * It knows nothing of what an event means.
 */

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

export interface JournalEntry {
  /** 1, 2, 3 … without gaps. */
  readonly seq: number;
  readonly event: Json;
}

export interface Journal {
  /** Sequence number of the last entry; 0 when empty. */
  readonly lastSeq: number;
  /**
   * Appends all events or none, durable when it returns, and gives the new `lastSeq`.
   * `expectedSeq` is the `lastSeq` the writer decided on: a stale writer is refused with RUN_LOCKED and changes nothing.
   * Throws STORAGE_FAILED (disk full, no permission).
   */
  append(events: readonly Json[], expectedSeq: number): Promise<number>;
  /** Every entry in order. Throws RUN_CORRUPT when an entry is damaged, missing or out of order. */
  readAll(): Promise<JournalEntry[]>;
  close(): Promise<void>;
}
