/** Tasks over PostgreSQL: rows that stateless workers claim with SKIP LOCKED, for as long as the database's clock says. */

import { canonicalJson } from '../../base/canonical.ts';
import { differentResult } from '../failures.ts';
import type { Json } from '../journal.ts';
import type { Task, TaskOutcome, Tasks } from '../store.ts';
import type { Database, Row, Send } from './database.ts';

export function postgresTasks(database: Database): Tasks {
  const { shown } = database;
  return {
    async enqueue(tasks) {
      const columns = [tasks.map(({ id }) => id), tasks.map(({ kind }) => kind)];
      const payloads = tasks.map(({ payload }) => canonicalJson(payload));
      await database.run('enqueue tasks', (send) => send(ENQUEUE, [...columns, payloads]));
    },
    claim: (worker, kinds, max, ttlMs) =>
      database.run('claim tasks', async (send) => {
        const rows = await send(CLAIM, [worker, kinds, max, ttlMs]);
        return rows.toSorted((a, b) => Number(a.position) - Number(b.position)).map(taskOf);
      }),
    heartbeat: (worker, ids, ttlMs) =>
      database.run('keep tasks', async (send) => {
        const rows = await send(HEARTBEAT, [worker, ids, ttlMs]);
        const held = new Set(rows.map(({ id }) => id));
        return ids.map((id) => held.has(id));
      }),
    async finish(id, result) {
      const text = canonicalJson(result);
      await database.run('finish a task', (send) => finish(send, id, text, shown));
    },
    fail: (id, reason, maxAttempts) =>
      database.run('give a task back', async (send) => {
        await send(FAIL, [id, reason, maxAttempts]);
      }),
    results: (ids) =>
      database.run('read results', async (send) => {
        const rows = await send(RESULTS, [ids]);
        const outcomes = new Map(rows.map((row) => [row.id, outcomeOf(row)]));
        return ids.map((id) => outcomes.get(id));
      }),
    delete: (ids) =>
      database.run('delete tasks', async (send) => {
        await send('DELETE FROM headwater.tasks WHERE id = ANY($1::text[])', [ids]);
      }),
  };
}

async function finish(send: Send, id: string, text: string, shown: string): Promise<void> {
  await send(FINISH, [id, text]);
  const [row] = await send('SELECT result FROM headwater.tasks WHERE id = $1', [id]);
  // Deleted or given up in between: nobody wants the result.
  if (row === undefined || row.result === null || row.result === text) return;
  throw differentResult(id, shown);
}

const ENQUEUE = `
  INSERT INTO headwater.tasks (id, kind, payload)
  SELECT * FROM unnest($1::text[], $2::text[], $3::text[]) ON CONFLICT DO NOTHING`;

// Materialized: the planner must not run the choice again for every row that it updates.
const CLAIM = `
  WITH chosen AS MATERIALIZED (
    SELECT id FROM headwater.tasks
    WHERE state = 'open' AND kind = ANY($2::text[])
      AND (claimed_until IS NULL OR claimed_until <= clock_timestamp())
    ORDER BY position LIMIT $3 FOR UPDATE SKIP LOCKED
  )
  UPDATE headwater.tasks AS task
  SET worker = $1, attempt = attempt + 1, claimed_until = clock_timestamp() + $4 * interval '1 millisecond'
  FROM chosen WHERE task.id = chosen.id
  RETURNING task.id, task.kind, task.payload, task.attempt, task.position`;

const HEARTBEAT = `
  UPDATE headwater.tasks SET claimed_until = clock_timestamp() + $3 * interval '1 millisecond'
  WHERE id = ANY($2::text[]) AND worker = $1 AND state = 'open' RETURNING id`;

const FINISH = `
  UPDATE headwater.tasks SET state = 'done', result = $2, worker = NULL, claimed_until = NULL, failure = NULL
  WHERE id = $1 AND state = 'open'`;

const FAIL = `
  UPDATE headwater.tasks
  SET state = CASE WHEN attempt >= $3 THEN 'failed' ELSE 'open' END, failure = $2, worker = NULL, claimed_until = NULL
  WHERE id = $1 AND state = 'open'`;

const RESULTS = `
  SELECT id, state, result, failure FROM headwater.tasks WHERE id = ANY($1::text[]) AND state <> 'open'`;

function taskOf(row: Row): Task {
  return {
    id: row.id as string,
    kind: row.kind as string,
    payload: JSON.parse(row.payload as string) as Json,
    attempt: Number(row.attempt),
  };
}

function outcomeOf(row: Row): TaskOutcome {
  return row.state === 'done'
    ? { result: JSON.parse(row.result as string) as Json }
    : { failure: row.failure as string };
}
