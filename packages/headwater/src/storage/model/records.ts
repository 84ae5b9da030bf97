/** Records of a modelled store. */

import { canonicalJson } from '../../base/canonical.ts';
import type { Json } from '../journal.ts';
import type { Records, StoredRecord } from '../store.ts';
import type { Core } from './core.ts';
import type { RecordRow } from './state.ts';

export function recordsOver(core: Core): Records {
  return {
    async get(collection, key) {
      const row = core.state.records.get(collection)?.get(key);
      return row && shown(row);
    },
    put: (collection, key, value, expectedVersion) =>
      core.change((state) => {
        const version = state.records.get(collection)?.get(key)?.version ?? 0;
        const row = { collection, key, value: canonicalJson(value), version: version + 1 };
        return version === expectedVersion
          ? { changes: [{ set: 'record', row }], result: row.version }
          : { changes: [], result: undefined };
      }),
    async list(collection, prefix = '') {
      const rows = [...(core.state.records.get(collection)?.values() ?? [])];
      return rows
        .filter((row) => row.key.startsWith(prefix))
        .sort((a, b) => (a.key < b.key ? -1 : 1))
        .map((row) => ({ key: row.key, ...shown(row) }));
    },
    delete: (collection, key) =>
      core.change((state) => ({
        changes: state.records.get(collection)?.has(key) ? [{ set: 'no-record', collection, key }] : [],
        result: undefined,
      })),
  };
}

function shown(row: RecordRow): StoredRecord {
  return { value: JSON.parse(row.value) as Json, version: row.version };
}
