/** Tasks of a modelled store. */

import { canonicalJson } from '../../base/canonical.ts';
import { differentResult } from '../failures.ts';
import type { Json } from '../journal.ts';
import type { Task, TaskOutcome, Tasks } from '../store.ts';
import type { Core, Decision } from './core.ts';
import type { Change, StoreState, TaskRow } from './state.ts';

export function tasksOver(core: Core): Tasks {
  return {
    enqueue: (tasks) =>
      core.change((state) => {
        const added = new Map<string, Change>();
        for (const { id, kind, payload } of tasks)
          if (!state.tasks.has(id) && !added.has(id))
            added.set(id, setTask({ ...NEW, id, kind, payload: canonicalJson(payload) }));
        return { changes: [...added.values()], result: undefined };
      }),
    claim: (worker, kinds, max, ttlMs) =>
      core.change((state) => claim(state, { worker, kinds, max, ttlMs, nowMs: core.clock.nowMs() })),
    heartbeat: (worker, ids, ttlMs) =>
      core.change((state) => {
        const untilMs = core.clock.nowMs() + ttlMs;
        const rows = ids.map((id) => state.tasks.get(id));
        const mine = rows.filter((row) => row !== undefined && row.worker === worker && isOpen(row));
        return {
          changes: mine.map((row) => setTask({ ...(row as TaskRow), untilMs })),
          result: rows.map((row) => mine.includes(row)),
        };
      }),
    finish: (id, result) => core.change((state) => finish(state, id, canonicalJson(result), core.where)),
    fail: (id, reason, maxAttempts) =>
      core.change((state) => {
        const row = state.tasks.get(id);
        if (row === undefined || !isOpen(row)) return { changes: [], result: undefined };
        const failure = row.attempt >= maxAttempts ? reason : null;
        return { changes: [setTask({ ...row, worker: null, failure })], result: undefined };
      }),
    results: async (ids) => ids.map((id) => outcomeOf(core.state.tasks.get(id))),
    delete: (ids) =>
      core.change((state) => ({
        changes: ids.filter((id) => state.tasks.has(id)).map((id) => ({ set: 'no-task', id })),
        result: undefined,
      })),
  };
}

const NEW = { attempt: 0, worker: null, untilMs: 0, result: null, failure: null };

function claim(
  state: StoreState,
  by: { worker: string; kinds: readonly string[]; max: number; ttlMs: number; nowMs: number },
): Decision<Task[]> {
  const claimed: TaskRow[] = [];
  for (const row of state.tasks.values()) {
    if (claimed.length >= by.max) break;
    const free = row.worker === null || row.untilMs <= by.nowMs;
    if (!isOpen(row) || !free || !by.kinds.includes(row.kind)) continue;
    claimed.push({ ...row, worker: by.worker, attempt: row.attempt + 1, untilMs: by.nowMs + by.ttlMs });
  }
  return {
    changes: claimed.map(setTask),
    result: claimed.map(({ id, kind, payload, attempt }) => ({
      id,
      kind,
      payload: JSON.parse(payload) as Json,
      attempt,
    })),
  };
}

/** The first outcome stays; a task that is gone or was given up needs no result any more. */
function finish(state: StoreState, id: string, result: string, where: string): Decision<undefined> {
  const row = state.tasks.get(id);
  if (row !== undefined && row.result !== null && row.result !== result) throw differentResult(id, where);
  if (row === undefined || !isOpen(row)) return { changes: [], result: undefined };
  return { changes: [setTask({ ...row, worker: null, result })], result: undefined };
}

function isOpen(row: TaskRow): boolean {
  return row.result === null && row.failure === null;
}

function outcomeOf(row: TaskRow | undefined): TaskOutcome | undefined {
  if (row === undefined) return undefined;
  if (row.result !== null) return { result: JSON.parse(row.result) as Json };
  return row.failure === null ? undefined : { failure: row.failure };
}

function setTask(row: TaskRow): Change {
  return { set: 'task', row };
}
