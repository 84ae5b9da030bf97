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

/** A state that equals the replay of the entries 1 … seq; reading may begin behind it. */
export interface Snapshot {
  readonly seq: number;
  readonly state: Json;
}

export interface Journal {
  /** Sequence number of the last entry; 0 when empty. */
  readonly lastSeq: number;
  /**
   * Appends all events or none, durable when it resolves, and gives the new `lastSeq`.
   * `expectedSeq` is the `lastSeq` the writer decided on: a stale writer, and one whose lease was taken over, is refused
   * with RUN_LOCKED and changes nothing. Throws STORAGE_FAILED (disk full, no permission).
   */
  append(events: readonly Json[], expectedSeq: number): Promise<number>;
  /** Every entry in order. Throws RUN_CORRUPT when an entry is damaged, missing or out of order. */
  readAll(): Promise<JournalEntry[]>;
  /** The entries after `seq`, checked like `readAll` (against the chain as it stood at `seq`). */
  readAfter(seq: number): Promise<JournalEntry[]>;
  /** Keeps the snapshot (durable) instead of an older one. Losing it costs time only. */
  saveSnapshot(snapshot: Snapshot): Promise<void>;
  /** The latest one that is whole and not ahead of the entries. */
  loadSnapshot(): Promise<Snapshot | undefined>;
  close(): Promise<void>;
}
