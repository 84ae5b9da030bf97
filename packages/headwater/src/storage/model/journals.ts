/** Journals of a modelled store. */

import { canonicalJson } from '../../base/canonical.ts';
import { assert } from '../../base/errors.ts';
import { lostLease, missingEntry, removedJournal, staleWriter } from '../failures.ts';
import type { Journal, JournalEntry, Json } from '../journal.ts';
import type { Fence, Journals } from '../store.ts';
import type { Core, Decision } from './core.ts';
import { isHeldBy } from './leases.ts';
import type { StoreState } from './state.ts';

export function journalsOver(core: Core): Journals {
  return {
    async open(run, fence) {
      await core.change((state) => ({
        changes: state.journals.has(run) ? [] : [{ set: 'events', run, after: 0, events: [] }],
        result: undefined,
      }));
      return journalOver(core, run, fence);
    },
    list: async () => [...core.state.journals.keys()].sort(),
    remove: (run) =>
      core.change((state) => ({
        changes: state.journals.has(run) ? [{ set: 'no-journal', run }] : [],
        result: undefined,
      })),
  };
}

export function journalOver(core: Core, run: string, fence?: Fence): Journal {
  const eventsOf = (state: StoreState) => state.journals.get(run)?.events ?? [];
  let lastSeq = eventsOf(core.state).length;

  function decide(state: StoreState, events: readonly Json[], expectedSeq: number): Decision<number> {
    if (fence !== undefined && !isHeldBy(state, fence)) throw lostLease(fence, core.where);
    if (!state.journals.has(run)) throw removedJournal(run, core.where);
    const after = eventsOf(state).length;
    if (after !== expectedSeq) throw staleWriter(expectedSeq, after, core.where);
    const texts = events.map(canonicalJson);
    return { changes: [{ set: 'events', run, after, events: texts }], result: after + texts.length };
  }

  async function readAfter(seq: number): Promise<JournalEntry[]> {
    const events = eventsOf(core.state);
    if (seq > events.length) throw missingEntry(events.length + 1, core.where);
    lastSeq = events.length;
    return events
      .slice(seq)
      .map((text, index) => ({ seq: seq + index + 1, event: JSON.parse(text) as Json }));
  }

  return {
    get lastSeq() {
      return lastSeq;
    },
    async append(events, expectedSeq) {
      lastSeq = await core.change((state) => decide(state, events, expectedSeq));
      return lastSeq;
    },
    readAll: () => readAfter(0),
    readAfter,
    saveSnapshot: ({ seq, state }) =>
      core.change((current) => {
        assert(seq <= eventsOf(current).length, `a snapshot at ${seq} is ahead of the journal`);
        const row = { run, seq, state: canonicalJson(state) };
        const older = (current.journals.get(run)?.snapshot?.seq ?? -1) <= seq;
        return { changes: older ? [{ set: 'snapshot', row }] : [], result: undefined };
      }),
    async loadSnapshot() {
      const row = core.state.journals.get(run)?.snapshot;
      return row && { seq: row.seq, state: JSON.parse(row.state) as Json };
    },
    async close() {},
  };
}
