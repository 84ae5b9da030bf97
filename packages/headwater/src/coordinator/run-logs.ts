/**
 * The transparency logs of a coordinator's runs: Merkle trees over the public parts of their journals, caught up with the journal
 * whenever somebody asks, so that a head never says more than what is durable. It changes no journal.
 */

import { bytesToHex } from '@noble/hashes/utils.js';
import type { RunEvent } from '../federation/events.ts';
import { entryHash, entryText } from '../federation/log/entry.ts';
import { type SignedHead, signHead } from '../federation/log/head.ts';
import { createMerkleTree, type MerkleTree } from '../federation/log/merkle.ts';
import type { Journal, JournalEntry } from '../storage/journal.ts';
import type { Journals } from '../storage/store.ts';
import type { OperatorKey } from './operator-key.ts';
import type { LogPage } from './ports.ts';

export interface LogProof {
  readonly head: SignedHead;
  /** From the size that was asked for; empty where that is 0, or not reached. */
  readonly consistency: readonly string[];
  /** Null: nothing was asked for, or it is not there. */
  readonly entry: ProvenEntry | null;
}

export interface ProvenEntry {
  /** The hashed bytes. */
  readonly text: string;
  /** From 0. */
  readonly index: number;
  readonly path: readonly string[];
}

/** An accepted update of an owner, or params that were released (or begun from). */
export type Wanted = { readonly update: string; readonly owner: string } | { readonly params: string };

export interface RunLogs {
  /** `seq`: what is durable; `since`: size of the log as the asker saw it last. */
  prove(run: string, seq: number, since: number, wanted?: Wanted): Promise<LogProof>;
  /** Entries as they were hashed, and the head of all of them. */
  page(run: string, after: number, limit: number): Promise<LogPage>;
}

interface RunLog {
  readonly tree: MerkleTree;
  /** By owner: its latest counted update. */
  readonly updates: Map<string, { readonly update: string; readonly seq: number }>;
  readonly params: Map<string, number>;
  /** The reading under way; others wait for it. */
  reading: Promise<void>;
}

const MOST_KEPT = 64;

export function createRunLogs(journals: Pick<Journals, 'open'>, key: OperatorKey): RunLogs {
  const kept = new Map<string, RunLog>();

  async function reading<T>(run: string, read: (journal: Journal) => Promise<T>): Promise<T> {
    const journal = await journals.open(run);
    try {
      return await read(journal);
    } finally {
      await journal.close();
    }
  }

  function logOf(run: string): RunLog {
    const known = kept.get(run) ?? {
      tree: createMerkleTree(),
      updates: new Map(),
      params: new Map(),
      reading: Promise.resolve(),
    };
    kept.delete(run);
    kept.set(run, known);
    for (const name of kept.keys()) if (kept.size > MOST_KEPT) kept.delete(name);
    return known;
  }

  const textOf = (run: string, { seq, event }: JournalEntry) =>
    entryText(seq, event as unknown as RunEvent, key.logKey, run);

  async function upTo(run: string, seq: number): Promise<RunLog> {
    const log = logOf(run);
    const catchUp = async () => {
      if (log.tree.size >= seq) return;
      const entries = await reading(run, (journal) => journal.readAfter(log.tree.size));
      for (const entry of entries.filter((one) => one.seq <= seq)) {
        log.tree.append(entryHash(textOf(run, entry)));
        index(log, entry);
      }
    };
    // Also after a reading that failed.
    log.reading = log.reading.catch(() => undefined).then(catchUp);
    await log.reading;
    return log;
  }

  async function entryAt(
    run: string,
    { tree }: RunLog,
    size: number,
    seq: number,
  ): Promise<ProvenEntry | null> {
    const [entry] = await reading(run, (journal) => journal.readAfter(seq - 1));
    if (entry === undefined) return null;
    const path = tree.inclusion(seq - 1, size).map(bytesToHex);
    return { text: textOf(run, entry), index: seq - 1, path };
  }

  async function seqOf(run: string, log: RunLog, wanted: Wanted): Promise<number | undefined> {
    if ('params' in wanted) return log.params.get(wanted.params);
    const latest = log.updates.get(wanted.owner);
    if (latest?.update === wanted.update) return latest.seq;
    const all = await reading(run, (journal) => journal.readAll());
    return all.find(({ event }) => isCounted(event as unknown as RunEvent, wanted))?.seq;
  }

  return {
    async prove(run, seq, since, wanted) {
      const log = await upTo(run, seq);
      const { size } = log.tree;
      const head = await signHead(key, run, { size, root: log.tree.root(size) });
      const at = wanted === undefined ? undefined : await seqOf(run, log, wanted);
      return {
        head,
        consistency: since > size ? [] : log.tree.consistency(since, size).map(bytesToHex),
        entry: at === undefined || at > size ? null : await entryAt(run, log, size, at),
      };
    },
    async page(run, after, limit) {
      const { tree } = await upTo(run, Number.POSITIVE_INFINITY);
      const { size } = tree;
      const entries = await reading(run, (journal) => journal.readAfter(Math.min(after, size)));
      return {
        head: await signHead(key, run, { size, root: tree.root(size) }),
        entries: entries
          .filter(({ seq }) => seq <= size)
          .slice(0, limit)
          .map((entry) => ({ seq: entry.seq, text: textOf(run, entry) })),
      };
    },
  };
}

function index({ updates, params }: RunLog, { seq, event: json }: JournalEntry): void {
  const event = json as unknown as RunEvent;
  if (event.type === 'update-received' && event.check.ok)
    updates.set(event.owner, { update: event.update, seq });
  if (event.type === 'created') params.set(event.plan.initialParams, seq);
  if (event.type === 'aggregated' && !params.has(event.params)) params.set(event.params, seq);
}

function isCounted(event: RunEvent, wanted: { readonly update: string; readonly owner: string }): boolean {
  return (
    event.type === 'update-received' &&
    event.check.ok &&
    event.update === wanted.update &&
    event.owner === wanted.owner
  );
}
