/** Storage in memory, for tests and throw-away runs. It keeps nothing. */

import { canonicalJson, digestBytes } from '../base/canonical.ts';
import { HeadwaterError } from '../base/errors.ts';
import type { Blobs } from './blobs.ts';
import { runCorrupt } from './failures.ts';
import type { Journal, JournalEntry, Json } from './journal.ts';

export function memoryJournal(initial: readonly Json[] = []): Journal {
  // Kept as text so that no caller can change what was written.
  const texts = initial.map(canonicalJson);
  return {
    get lastSeq() {
      return texts.length;
    },
    async append(events, expectedSeq) {
      if (expectedSeq !== texts.length) throw staleWriter(expectedSeq, texts.length, 'memory');
      texts.push(...events.map(canonicalJson));
      return texts.length;
    },
    readAll: async (): Promise<JournalEntry[]> =>
      texts.map((text, index) => ({ seq: index + 1, event: JSON.parse(text) as Json })),
    async close() {},
  };
}

export function memoryBlobs(): Blobs {
  const stored = new Map<string, Uint8Array>();
  return {
    async put(bytes) {
      const digest = digestBytes(bytes);
      if (!stored.has(digest)) stored.set(digest, bytes.slice());
      return digest;
    },
    async get(digest) {
      const bytes = stored.get(digest);
      if (bytes === undefined) throw runCorrupt(`blob ${digest} is missing`, 'memory');
      return bytes.slice();
    },
    has: async (digest) => stored.has(digest),
    async delete(digest) {
      stored.delete(digest);
    },
    list: async () => [...stored.keys()].sort(),
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
