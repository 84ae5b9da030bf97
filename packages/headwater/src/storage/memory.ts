/** Storage in memory, for tests and throw-away runs. It keeps nothing. */

import { canonicalJson } from '../base/canonical.ts';
import { HeadwaterError } from '../base/errors.ts';
import type { Journal, JournalEntry, Json, Snapshot } from './journal.ts';

export function memoryJournal(initial: readonly Json[] = []): Journal {
  // Kept as text so that no caller can change what was written.
  const texts = initial.map(canonicalJson);
  let snapshot: string | undefined;
  const entries = (): JournalEntry[] =>
    texts.map((text, index) => ({ seq: index + 1, event: JSON.parse(text) as Json }));
  return {
    get lastSeq() {
      return texts.length;
    },
    async append(events, expectedSeq) {
      if (expectedSeq !== texts.length) throw staleWriter(expectedSeq, texts.length, 'memory');
      texts.push(...events.map(canonicalJson));
      return texts.length;
    },
    readAll: async () => entries(),
    readAfter: async (seq) => entries().slice(seq),
    async saveSnapshot(next) {
      snapshot = canonicalJson(next);
    },
    loadSnapshot: async () => (snapshot === undefined ? undefined : (JSON.parse(snapshot) as Snapshot)),
    async close() {},
  };
}

/** RUN_LOCKED for a writer that decided on an older state than the journal's. */
export function staleWriter(expectedSeq: number, lastSeq: number, where: string): HeadwaterError {
  return new HeadwaterError(
    'RUN_LOCKED',
    `another process wrote to this run: expected ${expectedSeq} journal entries, found ${lastSeq}`,
    { where, hint: 'Let one process write a run. Wait for the other one, then continue with --resume.' },
  );
}
