/**
 * A run's events → the rows that pages show, one event at a time, so that following a run costs as much as its new events.
 * The round machine decides what counts; this file only watches it. It keeps rows, no blobs and no event.
 */

import type { Effect, RunEvent } from '../../federation/events.ts';
import { type Step, start, step } from '../../federation/machine.ts';
import { hidesCohorts } from '../../federation/poisson-cohort.ts';
import { entryOf, type RunState } from '../../federation/state.ts';
import { createRoundRows, type RoundRows } from './round-rows.ts';
import { addToTotals, FRESH_TOTALS, frameOf, ownerAfter, updateOf } from './row-rules.ts';
import type { EvaluationRow, OwnerRow, RunChanges, RunFrame, RunTotals, UpdateRow } from './rows.ts';

/** Of runs with more owners updates are told by round or by owner only. */
const MOST_OWNERS_WITH_UPDATES = 20;

export interface RunFold {
  /** The last event; 0: none yet. */
  readonly seq: number;
  add(seq: number, event: RunEvent): void;
  changesAfter(seq: number): RunChanges;
  /** Of a round or an owner, in order of arrival. */
  updates(wanted: { readonly round?: number; readonly owner?: string }): readonly UpdateRow[];
}

interface Book {
  seq: number;
  state: RunState | undefined;
  frame: RunFrame | null;
  totals: RunTotals;
  lastMs: number;
  readonly rounds: RoundRows;
  readonly owners: Map<string, OwnerRow>;
  readonly evaluations: Map<string, EvaluationRow>;
  readonly updates: UpdateRow[];
}

export function createRunFold(): RunFold {
  const book: Book = {
    seq: 0,
    state: undefined,
    frame: null,
    totals: FRESH_TOTALS,
    lastMs: 0,
    rounds: createRoundRows(),
    owners: new Map(),
    evaluations: new Map(),
    updates: [],
  };
  return {
    get seq() {
      return book.seq;
    },
    add: (seq, event) => add(book, seq, event),
    changesAfter: (seq) => changesAfter(book, seq),
    updates: ({ round, owner }) =>
      book.updates.filter(
        (row) => (round === undefined || row.round === round) && (owner === undefined || row.owner === owner),
      ),
  };
}

function add(book: Book, seq: number, event: RunEvent): void {
  const before = book.state;
  const { state, effects } = stepped(before, event);
  const nowMs = (event.observed as { readonly endedMs?: number } | undefined)?.endedMs ?? book.lastMs;
  if (event.type === 'created') book.frame = frameOf(event, nowMs);
  book.seq = seq;
  book.rounds.follow({ seq, event, nowMs, lastMs: book.lastMs, before, after: state });
  // What changed nothing is told to whoever sent it and is no news.
  const simulated = state.plan.pace.evaluatedBy === 'shell';
  const update =
    state === before || hidesCohorts(state.plan)
      ? undefined
      : updateOf(seq, event, nowMs, effects.find(isReceipt), simulated);
  if (update !== undefined) {
    book.updates.push(update);
    book.rounds.count(update, event);
  }
  followOwners(book, before, state, update);
  followEvaluations(book, before, state);
  book.totals = addToTotals(book.totals, state, event, update, nowMs);
  book.state = state;
  book.lastMs = nowMs;
}

function stepped(before: RunState | undefined, event: RunEvent): Step {
  if (before !== undefined) return step(before, event);
  if (event.type !== 'created') throw new Error('a journal begins with the created event');
  return start(event.plan);
}

function isReceipt(effect: Effect): effect is Extract<Effect, { kind: 'receipt' }> {
  return effect.kind === 'receipt';
}

/** Looks at all entries only when the roster itself changed. */
function followOwners(
  { owners, seq }: Book,
  before: RunState | undefined,
  { roster }: RunState,
  update: UpdateRow | undefined,
): void {
  if (before?.roster !== roster)
    for (const entry of Object.values(roster)) {
      const row = owners.get(entry.owner);
      const same = before !== undefined && entryOf(before.roster, entry.owner) === entry;
      if (row === undefined || !same) owners.set(entry.owner, ownerAfter(row, entry, seq, undefined));
    }
  const entry = update === undefined ? undefined : entryOf(roster, update.owner);
  if (entry !== undefined) owners.set(entry.owner, ownerAfter(owners.get(entry.owner), entry, seq, update));
}

function followEvaluations({ evaluations, seq }: Book, before: RunState | undefined, after: RunState): void {
  if (before?.evaluations === after.evaluations) return;
  for (const [id, result] of Object.entries(after.evaluations))
    if (before?.evaluations[id] !== result) evaluations.set(id, { id, seq, ...result });
}

function changesAfter(
  { seq, frame, totals, owners, evaluations, updates, ...book }: Book,
  after: number,
): RunChanges {
  const isNew = (row: { readonly seq: number }) => row.seq > after;
  const few = owners.size <= MOST_OWNERS_WITH_UPDATES;
  return {
    seq,
    frame: after === 0 ? frame : null,
    totals: seq > after ? totals : null,
    rounds: book.rounds.all().filter(isNew),
    owners: [...owners.values()].filter(isNew),
    evaluations: [...evaluations.values()].filter(isNew),
    updates: few ? updates.filter(isNew) : null,
  };
}
