/** What every Store must do, run on each implementation by its own test file. Journals alone: `journal-conformance.ts`. */

import { describe, expect, it } from 'vitest';
import type { Store } from '../../src/storage/store.ts';
import { task, tasks } from './store-tasks-conformance.ts';
import type { StoreUnderTest, WithStore } from './store-under-test.ts';

export function storeConformance(subject: StoreUnderTest): void {
  const withStore = (body: (store: Store) => Promise<void>) => async () => {
    await subject.fresh();
    const store = await subject.open();
    try {
      await body(store);
    } finally {
      await store.close();
    }
  };
  describe(`store contract: ${subject.name}`, () => {
    records(withStore);
    leases(withStore, subject);
    fences(withStore, subject);
    tasks(withStore, subject);
    wakeups(withStore);
    reopening(withStore, subject);
  });
}

const refused = (code: string) => expect.objectContaining({ code });

function records(withStore: WithStore): void {
  it(
    'a record is written, read, replaced and deleted',
    withStore(async ({ records }) => {
      expect(await records.get('clients', 'a')).toBeUndefined();
      expect(await records.put('clients', 'a', { n: 1.5, text: 'ł\u0000' }, 0)).toBe(1);
      expect(await records.get('clients', 'a')).toEqual({ value: { n: 1.5, text: 'ł\u0000' }, version: 1 });
      expect(await records.put('clients', 'a', null, 1)).toBe(2);
      expect(await records.get('clients', 'a')).toEqual({ value: null, version: 2 });
      expect(await records.get('tokens', 'a')).toBeUndefined();
      await records.delete('clients', 'a');
      await records.delete('clients', 'a');
      expect(await records.get('clients', 'a')).toBeUndefined();
      expect(await records.put('clients', 'a', 'again', 0)).toBeGreaterThan(0);
    }),
  );

  it(
    'whoever decided on an older version writes nothing',
    withStore(async ({ records }) => {
      expect(await records.put('c', 'k', 'x', 1)).toBeUndefined();
      await records.put('c', 'k', 'first', 0);
      expect(await records.put('c', 'k', 'second', 0)).toBeUndefined();
      expect(await records.put('c', 'k', 'second', 2)).toBeUndefined();
      expect(await records.get('c', 'k')).toEqual({ value: 'first', version: 1 });
    }),
  );

  it(
    'of many writers at once exactly one wins each version',
    withStore(async ({ records }) => {
      for (let version = 0; version < 3; version += 1) {
        const writers = Array.from({ length: 8 }, (_, i) => records.put('c', 'k', i, version));
        const won = (await Promise.all(writers)).filter((result) => result !== undefined);
        expect(won).toEqual([version + 1]);
      }
    }),
  );

  it(
    'lists are sorted and chosen by prefix, taken literally',
    withStore(async ({ records }) => {
      const keys = ['b', 'a/2', 'a/1', 'a', 'a%x', 'a_', '__proto__', 'a/10'];
      for (const key of keys) await records.put('c', key, key, 0);
      await records.put('other', 'a/3', 0, 0);
      const listed = async (prefix?: string) => (await records.list('c', prefix)).map(({ key }) => key);
      expect(await listed()).toEqual([...keys].sort());
      expect(await listed('a/')).toEqual(['a/1', 'a/10', 'a/2']);
      expect(await listed('a%')).toEqual(['a%x']);
      expect(await listed('_')).toEqual(['__proto__']);
      expect(await listed('zz')).toEqual([]);
      expect((await records.list('c', 'b'))[0]).toEqual({ key: 'b', value: 'b', version: 1 });
      expect(await records.list('none')).toEqual([]);
    }),
  );

  it(
    'what was read or given cannot change what is stored, and what is no JSON is refused',
    withStore(async ({ records }) => {
      const value = { list: [1] };
      await records.put('c', 'k', value, 0);
      value.list.push(2);
      const read = (await records.get('c', 'k'))?.value as { list: number[] };
      read.list.push(3);
      expect((await records.get('c', 'k'))?.value).toEqual({ list: [1] });
      await expect(records.put('c', 'k', Number.NaN, 1)).rejects.toThrow();
      expect((await records.get('c', 'k'))?.version).toBe(1);
    }),
  );
}

function leases(withStore: WithStore, subject: StoreUnderTest): void {
  it(
    'a lease has one holder until its time is over',
    withStore(async ({ leases }) => {
      const a = await leases.acquire('run', 'a', 10_000);
      expect(a).toMatchObject({ key: 'run', holder: 'a' });
      expect(await leases.acquire('run', 'b', 10_000)).toBeUndefined();
      expect(await leases.holderOf('run')).toBe('a');
      expect(await leases.acquire('other', 'b', 10_000)).toMatchObject({ holder: 'b' });
      await subject.advance(10_000);
      expect(await leases.holderOf('run')).toBeUndefined();
      const b = await leases.acquire('run', 'b', 10_000);
      expect(b?.epoch).toBeGreaterThan(a?.epoch ?? 0);
      expect(await leases.holderOf('run')).toBe('b');
    }),
  );

  it(
    'a renewed lease lasts longer, a lost one is not renewed',
    withStore(async ({ leases }) => {
      const a = (await leases.acquire('run', 'a', 10_000)) ?? never();
      await subject.advance(6_000);
      expect(await leases.renew(a, 10_000)).toBe(true);
      await subject.advance(6_000);
      expect(await leases.acquire('run', 'b', 10_000)).toBeUndefined();
      await subject.advance(6_000);
      const b = (await leases.acquire('run', 'b', 10_000)) ?? never();
      expect(await leases.renew(a, 10_000)).toBe(false);
      await leases.release(a);
      expect(await leases.holderOf('run')).toBe('b');
      expect(await leases.renew(b, 10_000)).toBe(true);
    }),
  );

  it(
    'a lease whose time ran out is held until somebody else takes it',
    withStore(async ({ leases }) => {
      const a = (await leases.acquire('run', 'a', 10_000)) ?? never();
      expect(await leases.holds(a)).toBe(true);
      expect(await leases.holds({ ...a, key: 'other' })).toBe(false);
      await subject.advance(20_000);
      expect(await leases.holds(a)).toBe(true);
      const b = (await leases.acquire('run', 'b', 10_000)) ?? never();
      expect(await leases.holds(a)).toBe(false);
      expect(await leases.holds(b)).toBe(true);
      await leases.release(b);
      expect(await leases.holds(b)).toBe(false);
    }),
  );

  it(
    'acquiring again renews, with the same epoch',
    withStore(async ({ leases }) => {
      const first = await leases.acquire('run', 'a', 10_000);
      await subject.advance(6_000);
      expect(await leases.acquire('run', 'a', 10_000)).toEqual(first);
      await subject.advance(6_000);
      expect(await leases.holderOf('run')).toBe('a');
    }),
  );

  it(
    'a released lease is free at once, and its epoch never comes back',
    withStore(async ({ leases }) => {
      const epochs: number[] = [];
      for (const holder of ['a', 'b', 'a', 'a']) {
        const fence = (await leases.acquire('run', holder, 10_000)) ?? never();
        epochs.push(fence.epoch);
        await leases.release(fence);
        await leases.release(fence);
        expect(await leases.holderOf('run')).toBeUndefined();
        expect(await leases.renew(fence, 10_000)).toBe(false);
      }
      expect(epochs).toEqual([...new Set(epochs)].sort((x, y) => x - y));
    }),
  );

  it(
    'of many that ask at once one gets it',
    withStore(async ({ leases }) => {
      const holders = Array.from({ length: 8 }, (_, i) => leases.acquire('run', `n${i}`, 10_000));
      expect((await Promise.all(holders)).filter((fence) => fence !== undefined)).toHaveLength(1);
    }),
  );
}

function fences(withStore: WithStore, subject: StoreUnderTest): void {
  it(
    'a writer whose lease was taken over cannot append, even with the right sequence number',
    withStore(async ({ journals, leases }) => {
      const a = (await leases.acquire('lead/r', 'a', 10_000)) ?? never();
      const old = await journals.open('r', a);
      expect(await old.append(['one'], 0)).toBe(1);
      await subject.advance(10_000);
      const b = (await leases.acquire('lead/r', 'b', 10_000)) ?? never();
      await expect(old.append(['two of a'], 1)).rejects.toEqual(refused('RUN_LOCKED'));
      const next = await journals.open('r', b);
      expect(next.lastSeq).toBe(1);
      expect(await next.append(['two of b'], 1)).toBe(2);
      expect((await next.readAll()).map((entry) => entry.event)).toEqual(['one', 'two of b']);
      await old.close();
      await next.close();
    }),
  );

  it(
    'a lease given back and a forged epoch append nothing',
    withStore(async ({ journals, leases }) => {
      const a = (await leases.acquire('lead/r', 'a', 10_000)) ?? never();
      const forged = await journals.open('r', { ...a, epoch: a.epoch + 1 });
      await expect(forged.append(['x'], 0)).rejects.toEqual(refused('RUN_LOCKED'));
      const other = await journals.open('r', { ...a, key: 'lead/other' });
      await expect(other.append(['x'], 0)).rejects.toEqual(refused('RUN_LOCKED'));
      await leases.release(a);
      const late = await journals.open('r', a);
      await expect(late.append(['x'], 0)).rejects.toEqual(refused('RUN_LOCKED'));
      expect(await late.readAll()).toEqual([]);
    }),
  );

  it(
    'journals of several runs are apart, listed and removed',
    withStore(async ({ journals }) => {
      const [b, a] = [await journals.open('b'), await journals.open('a')];
      await a.append(['a1', 'a2'], 0);
      await b.append(['b1'], 0);
      await a.saveSnapshot({ seq: 2, state: 'a' });
      expect(await journals.list()).toEqual(['a', 'b']);
      expect(await b.loadSnapshot()).toBeUndefined();
      await journals.remove('a');
      await journals.remove('a');
      expect(await journals.list()).toEqual(['b']);
      await expect(a.append(['a3'], 2)).rejects.toThrow();
      const again = await journals.open('a');
      expect(again.lastSeq).toBe(0);
      expect(await again.loadSnapshot()).toBeUndefined();
      expect(await b.readAll()).toEqual([{ seq: 1, event: 'b1' }]);
    }),
  );
}

function wakeups(withStore: WithStore): void {
  it(
    'whoever listens hears of its topic, until it stops',
    withStore(async ({ wakeups }) => {
      const heard: string[] = [];
      let tell = () => {};
      const next = () =>
        new Promise<void>((resolve) => {
          tell = resolve;
        });
      const stopA = wakeups.subscribe('a', () => {
        heard.push('a');
        tell();
      });
      const stopB = wakeups.subscribe('b', () => {
        heard.push('b');
        tell();
      });
      const [first] = [next(), await wakeups.publish('a')];
      await first;
      stopA();
      const [second] = [next(), await wakeups.publish('a'), await wakeups.publish('b')];
      await second;
      stopB();
      expect([...new Set(heard)]).toEqual(['a', 'b']);
    }),
  );
}

function reopening(withStore: WithStore, subject: StoreUnderTest): void {
  it(
    'a second opening sees everything',
    withStore(async (store) => {
      await store.records.put('c', 'k', [1], 0);
      const fence = (await store.leases.acquire('l', 'a', 10_000)) ?? never();
      await store.tasks.enqueue([task('a'), task('b')]);
      await store.tasks.claim('w', ['sum'], 1, 10_000);
      await store.tasks.finish('a', 'done');
      const journal = await store.journals.open('r', fence);
      await journal.append(['one'], 0);
      await journal.close();
      await store.close();

      const again = await subject.open();
      expect(await again.records.get('c', 'k')).toEqual({ value: [1], version: 1 });
      expect(await again.leases.holderOf('l')).toBe('a');
      expect(await again.leases.renew(fence, 10_000)).toBe(true);
      expect(await again.tasks.results(['a'])).toEqual([{ result: 'done' }]);
      expect(await again.tasks.claim('w', ['sum'], 9, 10_000)).toEqual([{ ...task('b'), attempt: 1 }]);
      expect(await (await again.journals.open('r')).readAll()).toEqual([{ seq: 1, event: 'one' }]);
      await again.close();
    }),
  );
}

function never(): never {
  throw new Error('the lease was not given');
}
