/**
 * One SQLite file (WAL, synchronous=FULL: what was committed survives a power cut), opened or made, and its writer: all
 * changes asked for while the event loop was busy share one transaction and so one flush, each whole or not at all.
 */

import { randomUUID } from 'node:crypto';
import { chmodSync, closeSync, existsSync, fsyncSync, linkSync, openSync, renameSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite';
import { systemErrorCode } from '../../base/io-errors.ts';
import { guarded, translated } from './failures.ts';
import { checkFormat, createTables } from './schema.ts';

const BUSY_TIMEOUT_MS = 5000;

/** `none` flushes nothing: for measurements only. */
export type Durability = 'full' | 'none';

export interface Database {
  readonly path: string;
  all(sql: string, ...values: SQLInputValue[]): Record<string, unknown>[];
  get(sql: string, ...values: SQLInputValue[]): Record<string, unknown> | undefined;
  /** Only inside `write` or `writeNow`. */
  run(sql: string, ...values: SQLInputValue[]): void;
  /** Errors of SQLite become those of Headwater. */
  read<T>(action: string, body: () => T): Promise<T>;
  /** Resolves when the changes are durable; when `body` throws they are not made. */
  write<T>(action: string, body: () => T): Promise<T>;
  writeNow<T>(action: string, body: () => T): T;
  close(): void;
}

export interface DatabaseOptions {
  readonly readOnly?: boolean;
  readonly durability?: Durability;
  /** Made for this user alone, with what SQLite puts beside it, wherever it lies. A file that is there stays as it is. */
  readonly isPrivate?: boolean;
}

/** Opens or creates the file. Throws RUN_CORRUPT when it is something else, STORAGE_FAILED when it cannot be opened. */
export function openDatabase(path: string, options: DatabaseOptions = {}): Database {
  const readOnly = options.readOnly === true;
  if (!readOnly && !existsSync(path)) guarded('create the file', path, () => createWhole(path, options));
  const connection = guarded('open the file', path, () => connect(path, readOnly));
  try {
    guarded('open the file', path, () => {
      checkFormat(connection, path, readOnly);
      if (readOnly) return;
      connection.exec(`PRAGMA synchronous = ${options.durability === 'none' ? 'OFF' : 'FULL'}`);
      // Secrets that were deleted are overwritten.
      connection.exec('PRAGMA secure_delete = ON');
    });
    return databaseOver(connection, path);
  } catch (error) {
    connection.close();
    throw error;
  }
}

function connect(path: string, readOnly: boolean): DatabaseSync {
  return new DatabaseSync(path, { readOnly, timeout: BUSY_TIMEOUT_MS });
}

/** Under another name first: nobody, not even after a crash, meets a file without its tables. */
function createWhole(path: string, { isPrivate }: DatabaseOptions): void {
  const temporary = `${path}.${randomUUID()}.tmp`;
  try {
    const database = connect(temporary, false);
    try {
      if (isPrivate === true) chmodSync(temporary, 0o600);
      createTables(database);
    } finally {
      database.close();
    }
    nameIt(temporary, path);
    syncFolder(dirname(path));
  } finally {
    for (const ending of ['', '-wal', '-shm']) rmSync(temporary + ending, { force: true });
  }
}

/** A link never replaces: whoever was faster keeps the file. Some file systems know no links. */
function nameIt(temporary: string, path: string): void {
  try {
    linkSync(temporary, path);
  } catch (error) {
    if (systemErrorCode(error) === 'EEXIST') return;
    renameSync(temporary, path);
  }
}

function syncFolder(folder: string): void {
  if (process.platform === 'win32') return;
  const handle = openSync(folder, 'r');
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}

function databaseOver(connection: DatabaseSync, path: string): Database {
  const statements = new Map<string, StatementSync>();
  const prepared = (sql: string): StatementSync => {
    const statement = statements.get(sql) ?? connection.prepare(sql);
    statements.set(sql, statement);
    return statement;
  };
  const writer = groupedWriter(connection, path);
  return {
    path,
    all: (sql, ...values) => prepared(sql).all(...values),
    get: (sql, ...values) => prepared(sql).get(...values),
    run: (sql, ...values) => {
      prepared(sql).run(...values);
    },
    read: async (action, body) => guarded(action, path, body),
    write: writer.write,
    writeNow: (action, body) => guarded(action, path, () => transaction(connection, body)),
    close() {
      writer.flush();
      if (connection.isOpen) connection.close();
    },
  };
}

interface Waiting {
  readonly action: string;
  readonly body: () => unknown;
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: unknown) => void;
}

function groupedWriter(connection: DatabaseSync, path: string) {
  let waiting: Waiting[] = [];

  function flush(): void {
    const group = waiting;
    waiting = [];
    const [first] = group;
    if (first === undefined) return;
    try {
      const answers = transaction(connection, () => group.map((one) => attempt(connection, path, one)));
      for (const answer of answers) answer();
    } catch (error) {
      for (const { action, reject } of group) reject(translated(action, path, error));
    }
  }

  function write<T>(action: string, body: () => T): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (waiting.length === 0) setImmediate(flush);
      waiting.push({ action, body, resolve: (result) => resolve(result as T), reject });
    });
  }

  return { write, flush };
}

/** Makes one change of a group, or none of it; gives how to tell its author after the commit. */
function attempt(connection: DatabaseSync, path: string, one: Waiting): () => void {
  connection.exec('SAVEPOINT one');
  try {
    const result = one.body();
    connection.exec('RELEASE one');
    return () => one.resolve(result);
  } catch (error) {
    // A full disk undoes the whole transaction: then the group fails together.
    if (!connection.isTransaction) throw error;
    connection.exec('ROLLBACK TO one; RELEASE one');
    return () => one.reject(translated(one.action, path, error));
  }
}

function transaction<T>(connection: DatabaseSync, body: () => T): T {
  connection.exec('BEGIN IMMEDIATE');
  try {
    const result = body();
    connection.exec('COMMIT');
    return result;
  } catch (error) {
    if (connection.isTransaction) connection.exec('ROLLBACK');
    throw error;
  }
}
