/** Records over PostgreSQL: one row each, compare-and-set by version. */

import { randomUUID } from 'node:crypto';
import { canonicalJson } from '../../base/canonical.ts';
import type { Json } from '../journal.ts';
import type { Records, StoredRecord } from '../store.ts';
import type { Database, Row, Send } from './database.ts';

export function postgresRecords(database: Database): Records {
  return {
    get: (collection, key) =>
      database.run('read a record', async (send) => {
        const rows = await send(
          'SELECT value, version FROM headwater.records WHERE collection = $1 AND key = $2',
          [collection, key],
        );
        return rows[0] === undefined ? undefined : recordOf(rows[0]);
      }),
    async put(collection, key, value, expectedVersion) {
      const write = { collection, key, text: canonicalJson(value), expectedVersion, id: randomUUID() };
      return database.run('write a record', (send, attempt) => put(send, write, attempt));
    },
    list: (collection, prefix = '') =>
      database.run('list records', async (send) => {
        const rows = await send(
          `SELECT key, value, version FROM headwater.records
           WHERE collection = $1 AND starts_with(key, $2) ORDER BY key`,
          [collection, prefix],
        );
        return rows.map((row) => ({ key: row.key as string, ...recordOf(row) }));
      }),
    delete: (collection, key) =>
      database.run('delete a record', async (send) => {
        await send('DELETE FROM headwater.records WHERE collection = $1 AND key = $2', [collection, key]);
      }),
  };
}

interface Write {
  readonly collection: string;
  readonly key: string;
  readonly text: string;
  readonly expectedVersion: number;
  /** Tells our own write from another's when the answer was lost. */
  readonly id: string;
}

async function put(send: Send, write: Write, attempt: number): Promise<number | undefined> {
  const { collection, key, text, expectedVersion, id } = write;
  const written = await send(expectedVersion === 0 ? INSERT : UPDATE, [
    collection,
    key,
    text,
    id,
    ...(expectedVersion === 0 ? [] : [expectedVersion]),
  ]);
  if (written[0] !== undefined) return Number(written[0].version);
  if (attempt === 0) return undefined;
  const [ours] = await send(
    'SELECT version FROM headwater.records WHERE collection = $1 AND key = $2 AND write_id = $3',
    [collection, key, id],
  );
  return ours === undefined ? undefined : Number(ours.version);
}

const INSERT = `
  INSERT INTO headwater.records (collection, key, value, write_id, version) VALUES ($1, $2, $3, $4, 1)
  ON CONFLICT DO NOTHING RETURNING version`;

const UPDATE = `
  UPDATE headwater.records SET value = $3, write_id = $4, version = version + 1
  WHERE collection = $1 AND key = $2 AND version = $5 RETURNING version`;

function recordOf(row: Row): StoredRecord {
  return { value: JSON.parse(row.value as string) as Json, version: Number(row.version) };
}
