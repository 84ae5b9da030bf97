/**
 * Leases over PostgreSQL, on the database's clock. A row stays after release, so that epochs never come twice. Every
 * statement stands alone: a paused process holds no lock on a row.
 */

import type { Fence, Leases } from '../store.ts';
import type { Database } from './database.ts';

export function postgresLeases(database: Database): Leases {
  return {
    acquire: (key, holder, ttlMs) =>
      database.run('take a lease', async (send): Promise<Fence | undefined> => {
        const [row] = await send(ACQUIRE, [key, holder, ttlMs]);
        return row === undefined ? undefined : { key, holder, epoch: Number(row.epoch) };
      }),
    renew: ({ key, holder, epoch }, ttlMs) =>
      database.run('renew a lease', async (send) => {
        const rows = await send(RENEW, [key, holder, epoch, ttlMs]);
        return rows.length > 0;
      }),
    holds: ({ key, holder, epoch }) =>
      database.run('look at a lease', async (send) => {
        const rows = await send(
          'SELECT 1 FROM headwater.leases WHERE key = $1 AND holder = $2 AND epoch = $3',
          [key, holder, epoch],
        );
        return rows.length > 0;
      }),
    release: ({ key, holder, epoch }) =>
      database.run('release a lease', async (send) => {
        await send(
          'UPDATE headwater.leases SET holder = NULL WHERE key = $1 AND holder = $2 AND epoch = $3',
          [key, holder, epoch],
        );
      }),
    holderOf: (key) =>
      database.run('look at a lease', async (send) => {
        const [row] = await send(
          'SELECT holder FROM headwater.leases WHERE key = $1 AND holder IS NOT NULL AND expires_at > clock_timestamp()',
          [key],
        );
        return row === undefined ? undefined : (row.holder as string);
      }),
  };
}

// clock_timestamp(), not now(): the statement may have waited for another one.
const ACQUIRE = `
  INSERT INTO headwater.leases AS lease (key, holder, epoch, expires_at)
  VALUES ($1, $2, 1, clock_timestamp() + $3 * interval '1 millisecond')
  ON CONFLICT (key) DO UPDATE SET
    holder = excluded.holder,
    epoch = lease.epoch + CASE WHEN lease.holder = excluded.holder THEN 0 ELSE 1 END,
    expires_at = clock_timestamp() + $3 * interval '1 millisecond'
  WHERE lease.holder IS NULL OR lease.holder = excluded.holder OR lease.expires_at <= clock_timestamp()
  RETURNING epoch`;

const RENEW = `
  UPDATE headwater.leases SET expires_at = clock_timestamp() + $4 * interval '1 millisecond'
  WHERE key = $1 AND holder = $2 AND epoch = $3 RETURNING epoch`;
