/** Leases in SQLite. A released lease keeps its row, so that the epoch goes on growing. */

import type { Clock } from '../../base/clock.ts';
import type { Fence, Leases } from '../store.ts';
import type { Database } from './database.ts';

export function sqliteLeases(database: Database, clock: Clock): Leases {
  const nowMs = () => Math.round(clock.nowMs());
  const find = (key: string) =>
    database.get('SELECT holder, epoch, until_ms FROM leases WHERE key = ?', key) as
      | { holder: string | null; epoch: number; until_ms: number }
      | undefined;

  function acquire(key: string, holder: string, ttlMs: number): Fence | undefined {
    const row = find(key);
    const mine = row?.holder === holder;
    if (row !== undefined && !mine && row.holder !== null && row.until_ms > nowMs()) return undefined;
    const epoch = mine ? row.epoch : (row?.epoch ?? 0) + 1;
    database.run(
      'INSERT OR REPLACE INTO leases (key, holder, epoch, until_ms) VALUES (?, ?, ?, ?)',
      key,
      holder,
      epoch,
      nowMs() + ttlMs,
    );
    return { key, holder, epoch };
  }

  return {
    acquire: (key, holder, ttlMs) =>
      database.write('take a lease', () => acquire(key, holder, Math.round(ttlMs))),
    renew: (fence, ttlMs) =>
      database.write('renew a lease', () => {
        if (!isHeldBy(database, fence)) return false;
        const untilMs = nowMs() + Math.round(ttlMs);
        database.run('UPDATE leases SET until_ms = ? WHERE key = ?', untilMs, fence.key);
        return true;
      }),
    holds: (fence) => database.read('look at a lease', () => isHeldBy(database, fence)),
    release: (fence) =>
      database.write('release a lease', () => {
        if (isHeldBy(database, fence))
          database.run('UPDATE leases SET holder = NULL WHERE key = ?', fence.key);
      }),
    holderOf: (key) =>
      database.read('look at a lease', () => {
        const row = find(key);
        return row !== undefined && row.until_ms > nowMs() ? (row.holder ?? undefined) : undefined;
      }),
  };
}

/** Nobody else took it since; that its time ran out alone takes nothing away. */
export function isHeldBy(database: Database, { key, holder, epoch }: Fence): boolean {
  const sql = 'SELECT 1 FROM leases WHERE key = ? AND holder = ? AND epoch = ?';
  return database.get(sql, key, holder, epoch) !== undefined;
}
