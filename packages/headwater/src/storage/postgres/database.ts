/**
 * A pool of connections and the one way to use it: statements that are tried again, with growing random pauses, after
 * conflicts, lost connections and failovers. Whoever sends a statement makes it safe to repeat. It knows no tables.
 */

import { randomInt } from 'node:crypto';
import type { Client, Pool, PoolClient } from 'pg';
import type { Timers } from '../../base/clock.ts';
import { sleep } from '../../base/clock.ts';
import type { DatabaseAddress } from './address.ts';
import { databaseError, isTransient } from './failures.ts';

export type Row = Readonly<Record<string, unknown>>;

/** Sends one statement. */
export type Send = (text: string, values?: readonly unknown[]) => Promise<readonly Row[]>;

/** `attempt` is 0 at first; later the statement may have been carried out already without our knowing. */
export type Body<T> = (send: Send, attempt: number) => Promise<T>;

export interface Database {
  /** Host and database, for messages. */
  readonly shown: string;
  /** Each statement of the body is a transaction of its own, on any connection. Throws CONNECTION_FAILED, STORAGE_FAILED. */
  run<T>(action: string, body: Body<T>): Promise<T>;
  /** All statements of the body are one transaction (read committed). */
  transaction<T>(action: string, body: Body<T>): Promise<T>;
  close(): Promise<void>;
}

export interface DatabaseOptions {
  readonly timers: Timers;
  /** How long a failing statement is tried again. */
  readonly retryForMs: number;
}

const CONNECT_TIMEOUT_MS = 10_000;
/** A server that went away without a word is noticed at last. */
const QUERY_TIMEOUT_MS = 60_000;
const FIRST_PAUSE_MS = 10;
const LONGEST_PAUSE_MS = 1000;
const INT8 = 20;

export async function connectDatabase(address: DatabaseAddress, options: DatabaseOptions): Promise<Database> {
  const pool = await newPool(address);
  const attempts = <T>(action: string, body: (attempt: number) => Promise<T>) =>
    repeated(body, options, (error) => databaseError(error, action, address.shown));
  return {
    shown: address.shown,
    run: (action, body) => attempts(action, (attempt) => body(sender(pool), attempt)),
    transaction: (action, body) => attempts(action, (attempt) => inTransaction(pool, body, attempt)),
    close: () => pool.end(),
  };
}

async function newPool({ connectionString, poolSize }: DatabaseAddress): Promise<Pool> {
  // Loaded only by those who use a database.
  const { default: pg } = await import('pg');
  const pool = new pg.Pool({
    connectionString,
    max: poolSize,
    application_name: 'headwater',
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    query_timeout: QUERY_TIMEOUT_MS,
    keepAlive: true,
    // Our 64-bit columns count; none comes near 2^53.
    types: {
      getTypeParser: ((oid: number) => (oid === INT8 ? Number : pg.types.getTypeParser(oid))) as never,
    },
  });
  // A connection may be cut at any moment, also between two statements: the pool drops it, the next statement notices.
  const ignore = () => undefined;
  pool.on('connect', (client) => client.on('error', ignore));
  pool.on('error', ignore);
  return pool;
}

/** A connection of its own, for LISTEN; `onLost` may be called more than once. */
export async function connectListener(
  { connectionString }: DatabaseAddress,
  onLost: () => void,
): Promise<Client> {
  const { default: pg } = await import('pg');
  const client = new pg.Client({
    connectionString,
    application_name: 'headwater wakeups',
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    keepAlive: true,
  });
  client.on('error', onLost);
  client.on('end', onLost);
  await client.connect();
  return client;
}

function sender(target: Pool | PoolClient): Send {
  return async (text, values = []) => (await target.query<Row>(text, [...values])).rows;
}

async function inTransaction<T>(pool: Pool, body: Body<T>, attempt: number): Promise<T> {
  const client = await pool.connect();
  let failed: unknown;
  try {
    await client.query('BEGIN');
    const result = await body(sender(client), attempt);
    await client.query('COMMIT');
    return result;
  } catch (error) {
    failed = error;
    throw error;
  } finally {
    // After an error the connection is closed, which rolls back whatever was open.
    client.release(failed !== undefined);
  }
}

async function repeated<T>(
  body: (attempt: number) => Promise<T>,
  { timers, retryForMs }: DatabaseOptions,
  translate: (error: unknown) => Error,
): Promise<T> {
  let waitedMs = 0;
  for (let attempt = 0; ; attempt++) {
    try {
      return await body(attempt);
    } catch (error) {
      if (!isTransient(error) || waitedMs >= retryForMs) throw translate(error);
      const pauseMs = pauseBefore(attempt);
      waitedMs += pauseMs;
      await sleep(timers, pauseMs);
    }
  }
}

/** Random, so that those who were refused together do not come back together. */
function pauseBefore(attempt: number): number {
  const longest = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(attempt, 10));
  return 1 + randomInt(longest);
}
