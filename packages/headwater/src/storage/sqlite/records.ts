/** Records in SQLite. */

import { canonicalJson } from '../../base/canonical.ts';
import type { Json } from '../journal.ts';
import type { Records, StoredRecord } from '../store.ts';
import type { Database } from './database.ts';

/** Behind every key with this prefix: no character is greater. */
const LAST = '\u{10ffff}';

export function sqliteRecords(database: Database): Records {
  const find = (collection: string, key: string) =>
    database.get('SELECT value, version FROM records WHERE collection = ? AND key = ?', collection, key);
  return {
    get: (collection, key) =>
      database.read('read a record', () => {
        const row = find(collection, key);
        return row && shown(row);
      }),
    put: (collection, key, value, expectedVersion) =>
      database.write('write a record', () => {
        const text = canonicalJson(value);
        const version = (find(collection, key)?.version as number | undefined) ?? 0;
        if (version !== expectedVersion) return undefined;
        database.run(
          'INSERT OR REPLACE INTO records (collection, key, value, version) VALUES (?, ?, ?, ?)',
          collection,
          key,
          text,
          version + 1,
        );
        return version + 1;
      }),
    list: (collection, prefix = '') =>
      database.read('list records', () =>
        database
          .all(
            `SELECT key, value, version FROM records
             WHERE collection = ? AND key >= ? AND key < ? ORDER BY key`,
            collection,
            prefix,
            prefix + LAST,
          )
          .map((row) => ({ key: row.key as string, ...shown(row) })),
      ),
    delete: (collection, key) =>
      database.write('delete a record', () =>
        database.run('DELETE FROM records WHERE collection = ? AND key = ?', collection, key),
      ),
    // Free pages are overwritten (`secure_delete`); older pages wait in the log, which is brought home and emptied.
    scrub: () => database.read('empty the log', () => void database.get('PRAGMA wal_checkpoint(TRUNCATE)')),
  };
}

function shown(row: Record<string, unknown>): StoredRecord {
  return { value: JSON.parse(row.value as string) as Json, version: row.version as number };
}
