/**
 * What has become durable in the journals, seen between coordinator and store: it only grows, keeps what was acknowledged
 * over every restart, and is written by the last holder of the lease alone.
 */

import { canonicalJson } from '../../src/base/canonical.ts';
import type { Journal, JournalEntry, Json } from '../../src/storage/journal.ts';
import type { Fence, Store } from '../../src/storage/store.ts';
import type { Report } from './violation.ts';

export interface JournalWatch {
  /** The same store, watched. */
  watched(store: Store): Store;
  /** Canonical JSON of the durable events of a run. */
  entries(run: string): readonly string[];
}

interface Seen {
  readonly texts: string[];
  /** Appends whose outcome is not known yet. */
  readonly tried: { readonly after: number; readonly texts: readonly string[] }[];
}

export type OnDurable = (run: string, seq: number, event: Json) => void;

export function watchJournals(nowMs: () => number, report: Report, onDurable: OnDurable): JournalWatch {
  const runs = new Map<string, Seen>();
  /** Highest epoch that was granted, by lease. */
  const granted = new Map<string, number>();
  /** Whose a lease is, and until when. */
  const holders = new Map<string, { readonly holder: string; readonly untilMs: number }>();
  const seenOf = (run: string): Seen => {
    const known = runs.get(run) ?? { texts: [], tried: [] };
    runs.set(run, known);
    return known;
  };

  function become(run: string, after: number, texts: readonly string[]): void {
    const seen = seenOf(run);
    for (const [i, text] of texts.entries()) {
      const at = after + i;
      if (at > seen.texts.length) {
        report('journal', `${run}: entry ${seen.texts.length + 1} was skipped`);
        return;
      }
      if (at < seen.texts.length && seen.texts[at] !== text) {
        report('journal', `${run}: entry ${at + 1} was ${seen.texts[at]}, became ${text}`);
        return;
      }
      if (at < seen.texts.length) continue;
      seen.texts.push(text);
      onDurable(run, at + 1, JSON.parse(text) as Json);
    }
  }

  function read(run: string, after: number, atLeast: number, entries: readonly JournalEntry[]): void {
    const seen = seenOf(run);
    const texts = entries.map(({ event }) => canonicalJson(event));
    if (after + texts.length < atLeast)
      report('journal', `${run}: ${atLeast} entries were durable, ${after + texts.length} are left`);
    const unknown = texts.slice(Math.max(0, seen.texts.length - after));
    const from = after + texts.length - unknown.length;
    const tried = seen.tried.some(
      (attempt) =>
        attempt.after <= from && attempt.texts.join() === texts.slice(attempt.after - after).join(),
    );
    if (unknown.length > 0 && !tried) report('journal', `${run}: entry ${from + 1} was written by nobody`);
    become(run, after, texts);
  }

  function watchedJournal(run: string, journal: Journal, fence: Fence | undefined): Journal {
    return {
      get lastSeq() {
        return journal.lastSeq;
      },
      async append(events, expectedSeq) {
        const texts = events.map(canonicalJson);
        const attempt = { after: expectedSeq, texts };
        seenOf(run).tried.push(attempt);
        const lastSeq = await journal.append(events, expectedSeq);
        const newest = fence === undefined ? undefined : granted.get(fence.key);
        if (fence === undefined) report('fencing', `${run} was written without a lease`);
        else if (newest !== fence.epoch)
          report('fencing', `${fence.holder} wrote with epoch ${fence.epoch}, ${newest} was granted`);
        if (lastSeq !== expectedSeq + texts.length) report('journal', `${run}: append said ${lastSeq}`);
        become(run, expectedSeq, texts);
        return lastSeq;
      },
      async readAll() {
        const atLeast = seenOf(run).texts.length;
        const entries = await journal.readAll();
        read(run, 0, atLeast, entries);
        return entries;
      },
      async readAfter(seq) {
        const atLeast = seenOf(run).texts.length;
        const entries = await journal.readAfter(seq);
        read(run, seq, atLeast, entries);
        return entries;
      },
      saveSnapshot: (snapshot) => journal.saveSnapshot(snapshot),
      loadSnapshot: () => journal.loadSnapshot(),
      close: () => journal.close(),
    };
  }

  const watched = (store: Store): Store => ({
    ...store,
    journals: {
      ...store.journals,
      open: async (run, fence) => watchedJournal(run, await store.journals.open(run, fence), fence),
    },
    leases: {
      ...store.leases,
      async acquire(key, holder, ttlMs) {
        const before = holders.get(key);
        const askedMs = nowMs();
        const fence = await store.leases.acquire(key, holder, ttlMs);
        if (fence === undefined) return undefined;
        const newest = granted.get(key) ?? 0;
        if (fence.epoch < newest) report('fencing', `${key}: epoch ${fence.epoch} after ${newest}`);
        if (
          before !== undefined &&
          before === holders.get(key) &&
          before.holder !== holder &&
          before.untilMs > nowMs()
        )
          report('fencing', `${key} was given to ${holder} while ${before.holder} had it`);
        granted.set(key, Math.max(newest, fence.epoch));
        holders.set(key, { holder, untilMs: askedMs + ttlMs });
        return fence;
      },
      async renew(fence, ttlMs) {
        const askedMs = nowMs();
        const renewed = await store.leases.renew(fence, ttlMs);
        if (renewed && holders.get(fence.key)?.holder === fence.holder)
          holders.set(fence.key, { holder: fence.holder, untilMs: askedMs + ttlMs });
        return renewed;
      },
      release(fence) {
        if (holders.get(fence.key)?.holder === fence.holder) holders.delete(fence.key);
        return store.leases.release(fence);
      },
    },
  });
  return { watched, entries: (run) => seenOf(run).texts };
}
