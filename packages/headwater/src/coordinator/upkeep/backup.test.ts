import {
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, describe, expect, it } from 'vitest';
import { fakePlan, runToEnd } from '../../../test/support/fake-world.ts';
import { canonicalJson, digestBytes } from '../../base/canonical.ts';
import type { RunEvent } from '../../federation/events.ts';
import { replay } from '../../federation/machine.ts';
import { liveBlobs } from '../../federation/outstanding.ts';
import type { Blobs } from '../../storage/blobs.ts';
import { openFileBlobs } from '../../storage/file-blobs.ts';
import type { Json } from '../../storage/journal.ts';
import { openSqliteStore } from '../../storage/sqlite-store.ts';
import type { Store } from '../../storage/store.ts';
import { saveState } from '../lead/recover.ts';
import { storePaths } from '../store-folder.ts';
import { backUpStore, restoreStore } from './backup.ts';

const scratch = mkdtempSync(join(tmpdir(), 'headwater-backup-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));
let count = 0;
const newFolder = () => join(scratch, String(++count));

const bytes = (text: string) => new TextEncoder().encode(text);
const initialParams = digestBytes(bytes('initial'));
const plan = fakePlan({ initialParams, arms: [], validateEveryRounds: 0, test: false });
const { events, work } = runToEnd(plan);

/** The fake world's digests are those of JSON texts: with these as blobs it is a real one. */
const contents = new Map(
  work
    .flatMap((item) => {
      if (item.kind === 'train')
        return [canonicalJson(['update', item.round, item.owner, item.params, item.personal])];
      return item.kind === 'aggregate' ? [canonicalJson(['params', item.params, item.members])] : [];
    })
    .map((text) => [digestBytes(bytes(text)), text] as const),
);

interface World {
  readonly folder: string;
  readonly store: Store;
  readonly blobs: Blobs;
}

/** A coordinator's folder with a run whose first round is open; it stays open, as while serving. */
async function served(): Promise<World> {
  const folder = newFolder();
  const paths = storePaths(folder);
  const blobs = await openFileBlobs(paths.blobs);
  const store = await openSqliteStore(paths.database);
  await blobs.put(bytes('initial'));
  await blobs.put(bytes('an orphan'));
  await append(store, events.slice(0, 1));
  await store.records.put('operator', 'key', { seed: 'secret' }, 0);
  return { folder, store, blobs };
}

async function append(store: Store, added: readonly RunEvent[]): Promise<void> {
  const journal = await store.journals.open('demo');
  await journal.append(added as unknown as Json[], journal.lastSeq);
  await journal.close();
}

async function journalIn(folder: string): Promise<Json[]> {
  const store = await openSqliteStore(storePaths(folder).database);
  const journal = await store.journals.open('demo');
  const entries = await journal.readAll();
  await store.close();
  return entries.map(({ event }) => event);
}

describe('backup and restore', () => {
  it('while the coordinator writes: the copy is restored to the same journal, records and blobs', async () => {
    const { folder, store } = await served();
    const [copy, target] = [newFolder(), newFolder()];
    const checked = await backUpStore(folder, copy, 5);
    await store.records.put('tokens', 'later', {}, 0);
    await store.close();
    expect(checked).toMatchObject({
      runs: [{ run: 'demo', events: 1, status: 'running', rounds: 0 }],
      blobs: 1,
    });
    expect(await restoreStore(copy, target)).toEqual(checked);
    expect(await journalIn(target)).toEqual([events[0]]);
    const restored = await openSqliteStore(storePaths(target).database);
    expect((await restored.records.get('operator', 'key'))?.value).toEqual({ seed: 'secret' });
    expect(await restored.records.list('tokens')).toEqual([]);
    await restored.close();
    expect(await (await openFileBlobs(storePaths(target).blobs)).list()).toEqual([initialParams]);
  });

  it('no key of a round’s noise is in the copy', async () => {
    const { folder, store } = await served();
    const key = 'k'.repeat(43);
    await store.records.put('noise-keys', 'r/1', { membership: 'm', key }, 0);
    const copy = newFolder();
    await backUpStore(folder, copy, 5);
    const { database } = storePaths(copy);
    expect(readFileSync(`${storePaths(folder).database}-wal`).includes(key)).toBe(true);
    expect(readFileSync(database).includes(key)).toBe(false);
    const copied = await openSqliteStore(database);
    expect((await copied.records.get('noise-keys', 'r/1'))?.value).toEqual({ membership: 'm', key: null });
    await copied.close();
  });

  it('results beside the store are copied too, and the copy is for its owner alone', async () => {
    const { folder, store } = await served();
    const copy = newFolder();
    const { runs } = storePaths(folder);
    cpSync(import.meta.dirname, join(runs, 'demo/adapter'), {
      recursive: true,
      filter: (path) => !path.endsWith('.ts'),
    });
    await backUpStore(folder, copy, 5);
    await store.close();
    expect(existsSync(join(storePaths(copy).runs, 'demo/adapter'))).toBe(true);
    expect(statSync(copy).mode & 0o777).toBe(0o700);
    expect(readdirSync(copy).sort()).toEqual(['backup.json', 'blobs', 'runs', 'store.sqlite']);
  });

  it('rounds that end while their blobs are copied lead to a newer copy of the journals', async () => {
    const { folder, store, blobs } = await served();
    const run = coordinatorAtWork(store, blobs);
    const copy = newFolder();
    await run.next();
    const [, checked] = await Promise.all([run.toTheEnd(), backUpStore(folder, copy, 5)]);
    await store.close();
    const copied = await journalIn(copy);
    expect(copied).toEqual(events.slice(0, copied.length));
    expect(checked.runs[0]?.events).toBe(copied.length);
  });

  it('nothing is written over, and a failed copy leaves nothing', async () => {
    const { folder, store, blobs } = await served();
    const full = newFolder();
    cpSync(folder, full, { recursive: true });
    await expect(backUpStore(folder, full, 5)).rejects.toMatchObject({ code: 'RUN_EXISTS' });
    await blobs.delete(initialParams);
    const copy = newFolder();
    await expect(backUpStore(folder, copy, 5)).rejects.toMatchObject({ code: 'STORAGE_FAILED' });
    await store.close();
    expect(readdirSync(scratch).filter((name) => name.includes('tmp'))).toEqual([]);
    expect(existsSync(copy)).toBe(false);
  });

  it.each<[string, (copy: string) => void]>([
    [
      'a changed blob',
      (copy) => writeFileSync(join(copy, 'blobs', initialParams.slice(0, 2), initialParams), 'other'),
    ],
    ['a missing blob', (copy) => rmSync(join(copy, 'blobs'), { recursive: true })],
    [
      'a changed event',
      (copy) => exec(copy, 'UPDATE events SET event = replace(event, \'"seed":7\', \'"seed":8\')'),
    ],
    [
      'a torn database',
      (copy) =>
        writeFileSync(join(copy, 'store.sqlite'), readFileSync(join(copy, 'store.sqlite')).subarray(0, 9000)),
    ],
    ['a foreign file', (copy) => writeFileSync(join(copy, 'store.sqlite'), 'not a database'.repeat(500))],
  ])('%s in a backup is found before anything is restored', async (_, damage) => {
    const { folder, store } = await served();
    const [copy, target] = [newFolder(), newFolder()];
    await backUpStore(folder, copy, 5);
    await store.close();
    damage(copy);
    await expect(restoreStore(copy, target)).rejects.toMatchObject({ code: 'RUN_CORRUPT' });
    expect(existsSync(target)).toBe(false);
  });

  it('a snapshot that is not the replay of its journal is found', async () => {
    const { folder, store } = await served();
    const journal = await store.journals.open('demo');
    const other = replay([{ type: 'created', plan: { ...plan, seed: 8 }, provenance: null }]);
    await saveState(journal, 1, { state: other, times: { roundOpenedMs: null, evaluationsMs: {} } as never });
    await expect(backUpStore(folder, newFolder(), 5)).rejects.toMatchObject({ code: 'RUN_CORRUPT' });
    await store.close();
  });

  it('folders that hold nothing of the kind are RUN_NOT_FOUND', async () => {
    const notFound = expect.objectContaining({ code: 'RUN_NOT_FOUND' });
    await expect(backUpStore(newFolder(), newFolder(), 5)).rejects.toEqual(notFound);
    const { folder, store } = await served();
    await store.close();
    await expect(restoreStore(folder, newFolder())).rejects.toEqual(notFound);
  });
});

function exec(copy: string, sql: string): void {
  const database = new DatabaseSync(join(copy, 'store.sqlite'));
  database.exec(sql);
  database.close();
}

/** Goes through the events as a coordinator does: new blobs, the journal, then what is not needed any more goes. */
function coordinatorAtWork(store: Store, blobs: Blobs) {
  let at = 1;
  let live: ReadonlySet<string> = new Set([initialParams]);
  async function next(): Promise<void> {
    const needed = liveBlobs(replay(events.slice(0, at + 1)));
    for (const digest of needed) if (!live.has(digest)) await blobs.put(bytes(contents.get(digest)!));
    await append(store, events.slice(at, at + 1));
    for (const digest of live) if (!needed.has(digest)) await blobs.delete(digest);
    live = needed;
    at++;
  }
  return {
    next,
    async toTheEnd() {
      while (at < events.length) await next();
    },
  };
}
