import { copyFileSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, describe, expect, it } from 'vitest';
import { type Damage, journalConformance } from '../../test/support/journal-conformance.ts';
import { openSqliteJournal } from './sqlite-journal.ts';

const folder = mkdtempSync(join(tmpdir(), 'headwater-journal-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
let count = 0;
const newPath = () => join(folder, `${++count}.sqlite`);

let path = newPath();
journalConformance({
  name: 'node:sqlite',
  open: () => openSqliteJournal(path),
  fresh: () => {
    path = newPath();
  },
  damage: (kind, seq) => damage(path, kind, seq),
});

function damage(file: string, kind: Damage, seq: number): void {
  const database = new DatabaseSync(file);
  const swap = (from: number, to: number) => `UPDATE events SET seq = ${to} WHERE seq = ${from};`;
  database.exec(
    {
      changed: `UPDATE events SET event = '"x"' WHERE seq = ${seq}`,
      missing: `DELETE FROM events WHERE seq = ${seq}`,
      'swapped with the next': swap(seq, 99) + swap(seq + 1, seq) + swap(99, seq + 1),
      'changed snapshot': `UPDATE journals SET snapshot = '"x"'`,
    }[kind],
  );
  database.close();
}

async function written(events: readonly string[]): Promise<string> {
  const file = newPath();
  const journal = openSqliteJournal(file);
  await journal.append(events, 0);
  await journal.close();
  return file;
}

const corrupt = expect.objectContaining({ code: 'RUN_CORRUPT' });

describe('journal in a SQLite file', async () => {
  it('is there after reopening', async () => {
    const file = await written(['a', 'b']);
    const journal = openSqliteJournal(file);
    expect(journal.lastSeq).toBe(2);
    expect(await journal.append(['c'], 2)).toBe(3);
    await journal.close();
    const reader = openSqliteJournal(file, { readOnly: true });
    expect((await reader.readAll()).map((entry) => entry.event)).toEqual(['a', 'b', 'c']);
    await reader.close();
  });

  it('can be read while another connection writes', async () => {
    const file = newPath();
    const writer = openSqliteJournal(file);
    await writer.append(['a'], 0);
    const reader = openSqliteJournal(file, { readOnly: true });
    await writer.append(['b'], 1);
    expect(await reader.readAll()).toHaveLength(2);
    await reader.close();
    await writer.close();
  });

  it('a second writer with an old view is refused', async () => {
    const file = newPath();
    const first = openSqliteJournal(file);
    const second = openSqliteJournal(file);
    await first.append(['a'], 0);
    await expect(second.append(['b'], 0)).rejects.toEqual(expect.objectContaining({ code: 'RUN_LOCKED' }));
    expect(await first.readAll()).toHaveLength(1);
    await first.close();
    await second.close();
  });

  it('uses WAL and an application id', async () => {
    const file = await written(['a']);
    const database = new DatabaseSync(file);
    expect(database.prepare('PRAGMA journal_mode').get()).toEqual({ journal_mode: 'wal' });
    expect(database.prepare('PRAGMA application_id').get()).toEqual({ application_id: 0x48574a31 });
    database.close();
  });

  it.each([
    ['changed', /entry 2 is damaged/],
    ['missing', /entry 2 is missing/],
    ['swapped with the next', /entry 2 is damaged/],
  ] as const)('an entry that was %s is found on opening', async (kind, message) => {
    const file = await written(['a', 'b', 'c', 'd', 'e']);
    damage(file, kind, 2);
    expect(() => openSqliteJournal(file)).toThrow(message);
    expect(() => openSqliteJournal(file)).toThrow(corrupt);
  });

  it('a truncated file, another file and another SQLite file are RUN_CORRUPT', async () => {
    const truncated = await written(Array.from({ length: 200 }, (_, i) => `${'x'.repeat(200)}${i}`));
    truncateSync(truncated, 9000);
    expect(() => openSqliteJournal(truncated)).toThrow(corrupt);
    const text = newPath();
    writeFileSync(text, 'not a database, but long enough to have a header of one hundred bytes'.repeat(20));
    expect(() => openSqliteJournal(text)).toThrow(corrupt);
    const other = newPath();
    const database = new DatabaseSync(other);
    database.exec('CREATE TABLE t (x)');
    database.close();
    expect(() => openSqliteJournal(other)).toThrow(/not a Headwater journal/);
  });

  it('a crash with a torn last write loses at most the unfinished event', async () => {
    const file = newPath();
    const writer = openSqliteJournal(file);
    await writer.append(['a'], 0);
    await writer.append(['b'], 1);
    // What a killed process leaves: the main file and the write-ahead log, here with its tail torn off.
    const crashed = newPath();
    copyFileSync(file, crashed);
    const wal = readFileSync(`${file}-wal`);
    await writer.close();
    writeFileSync(`${crashed}-wal`, wal.subarray(0, wal.length - 100));
    const journal = openSqliteJournal(crashed);
    expect((await journal.readAll()).map((entry) => entry.event)).toEqual(['a']);
    await journal.close();
  });

  it('a folder that does not exist is STORAGE_FAILED', async () => {
    expect(() => openSqliteJournal(join(folder, 'no', 'such', 'j.sqlite'))).toThrow(
      expect.objectContaining({ code: 'STORAGE_FAILED' }),
    );
  });
});
