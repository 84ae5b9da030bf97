import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, describe, expect, it } from 'vitest';
import { journalConformance } from '../../test/support/journal-conformance.ts';
import { storeConformance } from '../../test/support/store-conformance.ts';
import type { Journal } from './journal.ts';
import { openSqliteJournal } from './sqlite-journal.ts';
import { openSqliteStore } from './sqlite-store.ts';

const folder = mkdtempSync(join(tmpdir(), 'headwater-store-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
let count = 0;
const newPath = () => join(folder, `${++count}.sqlite`);
const fixture = join(import.meta.dirname, '../../test/fixtures/storage/journal-format-1.sqlite');

let nowMs = 1_000_000;
let path = newPath();
const subject = {
  name: 'node:sqlite',
  fresh: () => {
    path = newPath();
  },
  open: () => openSqliteStore(path, { clock: { nowMs: () => nowMs } }),
};

storeConformance({
  ...subject,
  advance: (ms) => {
    nowMs += ms;
  },
});

/** A journal that closes its store with it. */
async function journalOfStore(): Promise<Journal> {
  const store = await subject.open();
  const journal = await store.journals.open('run');
  return Object.assign(journal, { close: () => store.close() });
}

journalConformance({
  ...subject,
  name: 'node:sqlite, one of several runs',
  open: journalOfStore,
  damage: 'the same tables are damaged in the test of the journal of a run folder',
});

const textsOf = async (journal: Journal) => (await journal.readAll()).map(({ event }) => event);

describe('a store in a SQLite file', () => {
  it('keeps nothing of a replaced value in its files once it was scrubbed', async () => {
    const file = newPath();
    const store = await openSqliteStore(file);
    const secret = 'a secret that must not stay';
    const holds = () => [file, `${file}-wal`].some((part) => readFileSync(part).includes(secret));
    await store.records.put('secrets', 'a', { key: secret }, 0);
    expect(holds()).toBe(true);
    await store.records.put('secrets', 'a', { key: null }, 1);
    await store.records.scrub!();
    expect(holds()).toBe(false);
    expect(await store.records.get('secrets', 'a')).toEqual({ value: { key: null }, version: 2 });
    await store.close();
  });

  it('changes asked for at once share a commit; one that is refused takes none with it', async () => {
    const store = await openSqliteStore(newPath());
    const journal = await store.journals.open('r');
    const settled = await Promise.allSettled([
      journal.append(['a'], 0),
      store.records.put('c', 'k', 1, 0),
      journal.append(['stale'], 0),
      journal.append(['x', { loss: Number.NaN }], 1),
      journal.append(['b'], 1),
      store.records.put('c', 'l', 1, 0),
    ]);
    expect(settled.map(({ status }) => status === 'fulfilled')).toEqual([
      true,
      true,
      false,
      false,
      true,
      true,
    ]);
    expect(await textsOf(journal)).toEqual(['a', 'b']);
    expect(await store.records.list('c')).toHaveLength(2);
    await store.close();
  });

  it('closing finishes what was asked for', async () => {
    const file = newPath();
    const store = await openSqliteStore(file);
    const written = store.records.put('c', 'k', 1, 0);
    await store.close();
    expect(await written).toBe(1);
    const again = await openSqliteStore(file);
    expect(await again.records.get('c', 'k')).toEqual({ value: 1, version: 1 });
    await again.close();
  });

  it('without flushing it does the same', async () => {
    const file = newPath();
    const store = await openSqliteStore(file, { durability: 'none' });
    await (await store.journals.open('r')).append(['a'], 0);
    await store.close();
    const database = new DatabaseSync(file);
    expect(database.prepare('SELECT count(*) AS n FROM events').get()).toEqual({ n: 1 });
    database.close();
  });

  it('another connection that took the lease over stops the first one', async () => {
    const file = newPath();
    let now = 0;
    const open = () => openSqliteStore(file, { clock: { nowMs: () => now } });
    const [one, two] = [await open(), await open()];
    const first = await one.leases.acquire('lead', 'one', 100);
    const journal = await one.journals.open('r', first);
    await journal.append(['a'], 0);
    now = 100;
    expect(await two.leases.acquire('lead', 'two', 100)).toMatchObject({ holder: 'two', epoch: 2 });
    await expect(journal.append(['b'], 1)).rejects.toMatchObject({ code: 'RUN_LOCKED' });
    expect(await textsOf(await two.journals.open('r'))).toEqual(['a']);
    await one.close();
    await two.close();
  });
});

describe('formats of the SQLite file', () => {
  const events = [
    { type: 'created', seed: 7, third: 1 / 3 },
    { type: 'round-opened', round: 1 },
    { type: 'note', text: 'łą\u2028 "quoted"' },
    { type: 'finished' },
  ];
  const versionOf = (file: string) => {
    const database = new DatabaseSync(file, { readOnly: true });
    const row = database.prepare('PRAGMA user_version').get();
    database.close();
    return row?.user_version;
  };

  it('a file of format 1 becomes format 2 with its entries and chain', async () => {
    const file = newPath();
    copyFileSync(fixture, file);
    const journal = openSqliteJournal(file);
    expect(await textsOf(journal)).toEqual(events);
    expect(await journal.append(['more'], 4)).toBe(5);
    await journal.saveSnapshot({ seq: 5, state: 'all' });
    await journal.close();
    expect(versionOf(file)).toBe(2);
    const store = await openSqliteStore(file);
    expect(await store.journals.list()).toEqual(['run']);
    const again = await store.journals.open('run');
    expect(await textsOf(again)).toEqual([...events, 'more']);
    expect(await again.loadSnapshot()).toEqual({ seq: 5, state: 'all' });
    expect(await store.records.put('c', 'k', 1, 0)).toBe(1);
    await store.close();
  });

  it('a reader reads format 1 and leaves it as it is', async () => {
    const file = newPath();
    copyFileSync(fixture, file);
    const journal = openSqliteJournal(file, { readOnly: true });
    expect(await textsOf(journal)).toEqual(events);
    expect(await journal.loadSnapshot()).toBeUndefined();
    await journal.close();
    expect(versionOf(file)).toBe(1);
  });

  it('a damaged file of format 1 is still found to be damaged', async () => {
    const file = newPath();
    copyFileSync(fixture, file);
    const database = new DatabaseSync(file);
    database.exec(`UPDATE events SET event = '"x"' WHERE seq = 2`);
    database.close();
    expect(() => openSqliteJournal(file)).toThrow(/entry 2 is damaged/);
  });

  it('a format of the future is refused', async () => {
    const file = newPath();
    await (await openSqliteStore(file)).close();
    const database = new DatabaseSync(file);
    database.exec('PRAGMA user_version = 3');
    database.close();
    await expect(openSqliteStore(file)).rejects.toMatchObject({ code: 'RUN_CORRUPT' });
    await expect(openSqliteStore(file)).rejects.toThrow(/format 3/);
  });
});

describe('the write-ahead log after a crash', async () => {
  const HEADER_BYTES = 32;
  const FRAME_BYTES = 24 + 4096;
  const file = newPath();
  const copy = newPath();

  /** Appends of one to three events, some larger than a page; the length of the log when each was acknowledged. */
  async function written() {
    const store = await openSqliteStore(file);
    const journal = await store.journals.open('r');
    const acknowledged: { walBytes: number; seq: number }[] = [];
    for (let i = 0; i < 12; i += 1) {
      const events = Array.from(
        { length: 1 + (i % 3) },
        (_, k) => `${i}.${k} ${'x'.repeat(i % 4 === 3 ? 9000 : 20)}`,
      );
      const seq = await journal.append(events, journal.lastSeq);
      acknowledged.push({ walBytes: readFileSync(`${file}-wal`).byteLength, seq });
    }
    const all = await textsOf(journal);
    const [main, wal] = [readFileSync(file), readFileSync(`${file}-wal`)];
    await store.close();
    return { acknowledged, all, main, wal };
  }

  async function readCopy(main: Uint8Array, wal: Uint8Array) {
    for (const ending of ['-wal', '-shm']) rmSync(copy + ending, { force: true });
    writeFileSync(copy, main);
    writeFileSync(`${copy}-wal`, wal);
    const store = await openSqliteStore(copy);
    const journal = await store.journals.open('r');
    const events = await textsOf(journal);
    await journal.append(['goes on'], events.length);
    await store.close();
    return events;
  }

  const { acknowledged, all, main, wal } = await written();
  const seqBefore = (bytes: number) => acknowledged.findLast(({ walBytes }) => walBytes <= bytes)?.seq ?? 0;

  it('cut at every frame, and inside every frame, it holds what was acknowledged before and nothing half', async () => {
    const frames = (wal.byteLength - HEADER_BYTES) / FRAME_BYTES;
    expect(frames).toBeGreaterThan(acknowledged.length * 2);
    for (let frame = 0; frame <= frames; frame += 1)
      for (const inside of [0, 10, 24, 3000]) {
        const cut = Math.min(wal.byteLength, HEADER_BYTES + frame * FRAME_BYTES + inside);
        const events = await readCopy(main, wal.subarray(0, cut));
        expect(events, `cut at ${cut}`).toEqual(all.slice(0, seqBefore(cut)));
      }
  });

  it('with a torn frame it holds what was acknowledged before that frame', async () => {
    for (let at = HEADER_BYTES; at < wal.byteLength; at += FRAME_BYTES) {
      const torn = Uint8Array.from(wal);
      torn.fill(0, at + 1000, at + 1512);
      torn[at + 30] = (torn[at + 30] ?? 0) ^ 1;
      expect(await readCopy(main, torn)).toEqual(all.slice(0, seqBefore(at)));
    }
  });
});
