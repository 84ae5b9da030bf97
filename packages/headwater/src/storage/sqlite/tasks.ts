/** Tasks in SQLite. */

import { canonicalJson } from '../../base/canonical.ts';
import type { Clock } from '../../base/clock.ts';
import { differentResult } from '../failures.ts';
import type { Json } from '../journal.ts';
import type { Task, TaskOutcome, Tasks } from '../store.ts';
import type { Database } from './database.ts';

const OPEN = 'result IS NULL AND failure IS NULL';
const CLAIMABLE = `SELECT id, kind, payload, attempt FROM tasks
  WHERE ${OPEN} AND (worker IS NULL OR until_ms <= ?) AND kind IN (SELECT value FROM json_each(?))
  ORDER BY position LIMIT ?`;

export function sqliteTasks(database: Database, clock: Clock): Tasks {
  const untilMs = (ttlMs: number) => Math.round(clock.nowMs() + ttlMs);

  function claimable(kinds: readonly string[], max: number): Task[] {
    return database.all(CLAIMABLE, Math.round(clock.nowMs()), JSON.stringify(kinds), max).map((row) => ({
      id: row.id as string,
      kind: row.kind as string,
      payload: JSON.parse(row.payload as string) as Json,
      attempt: (row.attempt as number) + 1,
    }));
  }

  function take(worker: string, tasks: readonly Task[], ttlMs: number): Task[] {
    for (const { id, attempt } of tasks)
      database.run(
        'UPDATE tasks SET worker = ?, attempt = ?, until_ms = ? WHERE id = ?',
        worker,
        attempt,
        untilMs(ttlMs),
        id,
      );
    return [...tasks];
  }

  function beat(worker: string, id: string, ttlMs: number): boolean {
    const row = database.get(`SELECT 1 FROM tasks WHERE id = ? AND worker = ? AND ${OPEN}`, id, worker);
    if (row !== undefined) database.run('UPDATE tasks SET until_ms = ? WHERE id = ?', untilMs(ttlMs), id);
    return row !== undefined;
  }

  return {
    enqueue: (tasks) =>
      database.write('enqueue tasks', () => {
        for (const { id, kind, payload } of tasks)
          database.run(
            'INSERT INTO tasks (id, kind, payload) VALUES (?, ?, ?) ON CONFLICT (id) DO NOTHING',
            id,
            kind,
            canonicalJson(payload),
          );
      }),
    async claim(worker, kinds, max, ttlMs) {
      // Looking first keeps idle workers from taking the write lock.
      const free = await database.read('look for tasks', () => claimable(kinds, 1));
      if (free.length === 0) return [];
      return database.write('claim tasks', () => take(worker, claimable(kinds, max), ttlMs));
    },
    heartbeat: (worker, ids, ttlMs) =>
      database.write('keep tasks', () => ids.map((id) => beat(worker, id, ttlMs))),
    finish: (id, result) =>
      database.write('finish a task', () => finish(database, id, canonicalJson(result))),
    fail: (id, reason, maxAttempts) =>
      database.write('give a task back', () =>
        database.run(
          `UPDATE tasks SET worker = NULL, failure = CASE WHEN attempt >= ? THEN ? END WHERE id = ? AND ${OPEN}`,
          maxAttempts,
          reason,
          id,
        ),
      ),
    results: (ids) => database.read('read results', () => ids.map((id) => outcomeOf(database, id))),
    delete: (ids) =>
      database.write('delete tasks', () => {
        for (const id of ids) database.run('DELETE FROM tasks WHERE id = ?', id);
      }),
  };
}

/** The first outcome stays; a task that is gone or was given up needs no result any more. */
function finish(database: Database, id: string, result: string): void {
  const stored = database.get('SELECT result FROM tasks WHERE id = ?', id)?.result ?? null;
  if (stored !== null && stored !== result) throw differentResult(id, database.path);
  database.run(`UPDATE tasks SET worker = NULL, result = ? WHERE id = ? AND ${OPEN}`, result, id);
}

function outcomeOf(database: Database, id: string): TaskOutcome | undefined {
  const row = database.get('SELECT result, failure FROM tasks WHERE id = ?', id);
  if (row === undefined) return undefined;
  if (row.result !== null) return { result: JSON.parse(row.result as string) as Json };
  return row.failure === null ? undefined : { failure: row.failure as string };
}
