import { describe, expect, it } from 'vitest';
import { Crash, CrashingDisk, type Fate, type Fault } from '../../test/support/crashing-disk.ts';
import { journalConformance } from '../../test/support/journal-conformance.ts';
import { storeConformance } from '../../test/support/store-conformance.ts';
import type { Disk } from './disk.ts';
import { decodeFrames, encodeFrame } from './frames.ts';
import type { Journal } from './journal.ts';
import { openLogStore } from './log-store.ts';
import type { Store } from './store.ts';

let nowMs = 1_000_000;
const clock = { nowMs: () => nowMs };
let disk: Disk = new CrashingDisk().disk();
const subject = {
  fresh: () => {
    disk = new CrashingDisk().disk();
  },
  // So little slack that the log is rewritten now and then.
  open: () => openLogStore(disk, 'data/store', { clock, slackBytes: 2000 }),
};

storeConformance({
  ...subject,
  name: 'log over a disk',
  advance: (ms) => {
    nowMs += ms;
  },
});

/** Both in one store, as one process at a time opens a log; the last journal to be closed closes it. */
let shared: { store: Promise<Store>; users: number } | undefined;
journalConformance({
  name: 'log over a disk',
  fresh: () => {
    subject.fresh();
    shared = undefined;
  },
  open: async () => {
    shared ??= { store: subject.open(), users: 0 };
    const mine = shared;
    mine.users += 1;
    const journal = await (await mine.store).journals.open('run');
    const close = async () => {
      mine.users -= 1;
      if (mine.users > 0) return;
      shared = undefined;
      await (await mine.store).close();
    };
    return Object.defineProperty(journal, 'close', { value: close });
  },
  damage: 'the log has check sums over whole changes; its own tests damage it',
});

type Operation = (store: Store, journal: Journal) => Promise<unknown>;

/** Every kind of change; long enough that the log is rewritten twice. */
const operations: Operation[] = [
  (_, journal) => journal.append([{ a: 1 }, 'two'], journal.lastSeq),
  ({ records }) => records.put('clients', 'a', { text: 'x'.repeat(300) }, 0),
  ({ leases }) => leases.acquire('lead', 'me', 1000),
  ({ records }) => records.put('clients', 'a', { text: 'y'.repeat(300) }, 1),
  ({ tasks }) => tasks.enqueue(['s', 't'].map((id) => ({ id, kind: 'sum', payload: id }))),
  ({ tasks }) => tasks.claim('w', ['sum'], 1, 1000),
  (_, journal) => journal.append(['z'.repeat(300)], journal.lastSeq),
  ({ tasks }) => tasks.finish('s', { sum: 1 }),
  (_, journal) => journal.saveSnapshot({ seq: 3, state: 'three' }),
  ({ records }) => records.put('clients', 'b', 'q'.repeat(500), 0),
  ({ records }) => records.delete('clients', 'a'),
  ({ tasks }) => tasks.fail('t', 'broke', 0),
  (_, journal) => journal.append(['last'], journal.lastSeq),
];

async function everythingIn(store: Store): Promise<string> {
  const journal = await store.journals.open('r');
  return JSON.stringify([
    await store.records.list('clients'),
    await store.leases.holderOf('lead'),
    await store.tasks.results(['s', 't']),
    await journal.readAll(),
    await journal.loadSnapshot(),
  ]);
}

const open = (machine: CrashingDisk) =>
  openLogStore(machine.disk(), 'data/store', { clock, slackBytes: 300 });

/** What the store holds after the first 0, 1, 2 … operations. */
async function states(): Promise<string[]> {
  const store = await open(new CrashingDisk());
  const journal = await store.journals.open('r');
  const result = [await everythingIn(store)];
  for (const operation of operations) {
    await operation(store, journal);
    result.push(await everythingIn(store));
  }
  return result;
}

/** Runs operations from `from` on until the crash; gives how many were acknowledged in all. */
async function runUntilCrash(machine: CrashingDisk, from: number): Promise<number> {
  let done = from;
  try {
    const store = await open(machine);
    const journal = await store.journals.open('r');
    for (const operation of operations.slice(from)) {
      await operation(store, journal);
      done += 1;
    }
    await store.close();
  } catch (error) {
    const cause = (error as Error).cause ?? error;
    if (!(cause instanceof Crash)) throw error;
  }
  return done;
}

describe('the log store under faults of its disk', async () => {
  const expected = await states();
  const measured = new CrashingDisk();
  expect(await runUntilCrash(measured, 0)).toBe(operations.length);
  const total = measured.operations;

  it.each(['crash before', 'crash after', 'crash inside'] as const)(
    'a %s each of its operations loses nothing acknowledged and keeps nothing half',
    async (kind) => {
      expect(total).toBeGreaterThan(operations.length * 2);
      for (let at = 1; at <= total; at += 1)
        for (const fate of ['lost', 'kept', 'torn', 'killed'] as const)
          await crashAndGoOn({ at, kind }, fate, expected);
    },
  );

  it('an operation of the disk that fails is told, changes nothing, and the store goes on', async () => {
    for (let at = 1; at <= total; at += 1) {
      const machine = new CrashingDisk();
      machine.plan({ at, kind: 'fails' });
      const refused = expect.objectContaining({ code: 'STORAGE_FAILED' });
      let store = await open(machine).catch(async (error: unknown) => {
        expect(error).toEqual(refused);
        return open(machine);
      });
      const journal = await store.journals.open('r').catch(() => store.journals.open('r'));
      for (const [index, operation] of operations.entries()) {
        const before = await everythingIn(store);
        await operation(store, journal).catch(async (error: unknown) => {
          expect(error).toEqual(refused);
          expect(await everythingIn(store)).toBe(before);
          await operation(store, journal);
        });
        expect(await everythingIn(store)).toBe(expected[index + 1]);
      }
      machine.end('lost', at);
      store = await open(machine);
      expect(await everythingIn(store)).toBe(expected.at(-1));
    }
  });

  it('damage before the end is found, a torn end is cut', async () => {
    const machine = new CrashingDisk();
    const store = await open(machine);
    const journal = await store.journals.open('r');
    for (const event of ['one', 'two', 'three']) await journal.append([event], journal.lastSeq);
    await store.close();
    const raw = machine.disk();
    const file = await raw.open('data/store/store.log', 'write');
    const bytes = await raw.read('data/store/store.log');
    await file.write(new Uint8Array([0x41]), 30);
    await expect(open(machine)).rejects.toMatchObject({ code: 'RUN_CORRUPT' });
    await file.write(bytes, 0);
    await raw.truncate('data/store/store.log', bytes.byteLength - 1);
    const cut = await open(machine);
    expect(await (await cut.journals.open('r')).readAll()).toHaveLength(2);
  });

  it('entries that were taken out or changed places are found although every frame is whole', async () => {
    const machine = new CrashingDisk();
    const store = await openLogStore(machine.disk(), '', { clock });
    const journal = await store.journals.open('r');
    for (const event of ['one', 'two', 'three']) await journal.append([event], journal.lastSeq);
    await store.close();
    const raw = machine.disk();
    const [made, one, two, three] = decodeFrames(await raw.read('store.log')).values.map(
      encodeFrame,
    ) as Uint8Array[];
    const file = await raw.open('store.log', 'write');
    for (const order of [
      [made, two, three],
      [made, one, three, two],
      [made, one, two, two, three],
    ]) {
      await raw.truncate('store.log', 0);
      await file.write(Buffer.concat(order as Uint8Array[]), 0);
      await expect(openLogStore(raw, '', { clock })).rejects.toMatchObject({ code: 'RUN_CORRUPT' });
    }
  });
});

async function crashAndGoOn(fault: Fault, fate: Fate, expected: readonly string[]): Promise<void> {
  const where = `${fault.kind} ${fault.at}, ${fate}`;
  const machine = new CrashingDisk();
  machine.plan(fault);
  const acknowledged = await runUntilCrash(machine, 0);
  machine.end(fate, fault.at);
  machine.plan();
  const found = await everythingIn(await open(machine));
  const allowed = [expected[acknowledged], expected[acknowledged + 1]];
  expect(allowed, where).toContain(found);
  // What the new process has seen and built on stays, even when everything unsynced is lost now.
  const survived = acknowledged + (found === allowed[0] ? 0 : 1);
  machine.end('lost', fault.at);
  expect(await everythingIn(await open(machine)), where).toBe(expected[survived]);
  expect(await runUntilCrash(machine, survived), where).toBe(operations.length);
  machine.end('lost', fault.at);
  expect(await everythingIn(await open(machine)), where).toBe(expected.at(-1));
}
