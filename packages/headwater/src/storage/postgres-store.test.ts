import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Damage, journalConformance } from '../../test/support/journal-conformance.ts';
import { NO_POSTGRES, type PostgresServer, startPostgres } from '../../test/support/postgres.ts';
import { storeConformance } from '../../test/support/store-conformance.ts';
import { openPostgresStore } from './postgres-store.ts';
import type { Fence, Store } from './store.ts';

describe.skipIf(NO_POSTGRES !== undefined)(`PostgreSQL ${NO_POSTGRES ?? ''}`, () => {
  let server: PostgresServer;
  let url: string;
  let admin: pg.Pool;
  const opened = new Set<Store>();
  beforeAll(async () => {
    server = await startPostgres();
    url = await server.newDatabase();
    admin = new pg.Pool({ connectionString: url, max: 2 });
    // The tests cut connections.
    admin.on('error', () => undefined);
    await open();
  });
  afterAll(async () => {
    await Promise.all([...opened].map((store) => store.close()));
    await admin?.end();
    await server?.stop();
  });

  async function open(at = url): Promise<Store> {
    const store = await openPostgresStore(at);
    let open = true;
    const own = {
      ...store,
      async close() {
        opened.delete(own);
        if (open) await store.close();
        open = false;
      },
    };
    opened.add(own);
    return own;
  }

  async function sql(text: string, values: readonly unknown[] = []): Promise<void> {
    await admin.query(text, [...values]);
  }

  const empty = () =>
    sql(
      ['journals', 'events', 'snapshots', 'records', 'leases', 'tasks']
        .map((table) => `DELETE FROM headwater.${table};`)
        .join(' '),
    );

  /** The database’s clock cannot be moved: its deadlines are. */
  async function advance(ms: number): Promise<void> {
    const earlier = `- ${ms} * interval '1 millisecond'`;
    await sql(`UPDATE headwater.leases SET expires_at = expires_at ${earlier}`);
    await sql(`UPDATE headwater.tasks SET claimed_until = claimed_until ${earlier}`);
  }

  const DAMAGE: Readonly<Record<Damage, string>> = {
    changed: `UPDATE headwater.events SET event = '"x"' WHERE seq = $1`,
    missing: 'DELETE FROM headwater.events WHERE seq = $1',
    'swapped with the next': `
      UPDATE headwater.events SET event = (SELECT event FROM headwater.events AS other
        WHERE other.seq = CASE WHEN events.seq = $1::int THEN $1::int + 1 ELSE $1::int END)
      WHERE seq IN ($1::int, $1::int + 1)`,
    'changed snapshot': `UPDATE headwater.snapshots SET state = '"x"' WHERE seq = $1`,
  };

  let journals: Store | undefined;
  journalConformance({
    name: 'PostgreSQL',
    fresh: empty,
    async open() {
      journals ??= await open();
      return journals.journals.open('run');
    },
    damage: (kind, seq) => sql(DAMAGE[kind], [seq]),
  });

  storeConformance({ name: 'PostgreSQL', fresh: empty, open: () => open(), advance });

  describe('several processes over one database', () => {
    it('opening at once makes the tables once', async () => {
      const address = await server.newDatabase();
      const stores = await Promise.all(Array.from({ length: 6 }, () => open(address)));
      for (const [i, store] of stores.entries()) await store.records.put('c', `k${i}`, i, 0);
      expect(await stores[0]!.records.list('c')).toHaveLength(6);
      await Promise.all(stores.map((store) => store.close()));
    });

    it('tables of a newer Headwater are refused', async () => {
      const address = await server.newDatabase();
      await (await open(address)).close();
      const client = new pg.Client({ connectionString: address });
      await client.connect();
      await client.query('INSERT INTO headwater.migrations (version) VALUES (99)');
      await client.end();
      await expect(openPostgresStore(address)).rejects.toMatchObject({ code: 'STORAGE_FAILED' });
    });

    it('64 claimers never hold the same task', async () => {
      await empty();
      const stores = [await open(), await open()];
      const tasks = Array.from({ length: 300 }, (_, i) => ({ id: `t${i}`, kind: 'k', payload: i }));
      await stores[0]!.tasks.enqueue(tasks);
      const claimed = await Promise.all(
        Array.from({ length: 64 }, (_, i) => stores[i % 2]!.tasks.claim(`w${i}`, ['k'], 5, 60_000)),
      );
      const ids = claimed.flat().map(({ id }) => id);
      expect(new Set(ids).size).toBe(ids.length);
      expect(ids).toHaveLength(300);
    });

    it('a hint reaches the other process, also one that came before it listened', async () => {
      const [a, b] = [await open(), await open()];
      await a.wakeups.publish('before');
      await new Promise<void>((resolve) => {
        let heard = 0;
        b.wakeups.subscribe('t', () => {
          if (++heard === 1) void a.wakeups.publish('t');
          else resolve();
        });
      });
      await Promise.all([a.close(), b.close()]);
    });

    it('of two that race for a lease one gets it', async () => {
      await empty();
      const [a, b] = [await open(), await open()];
      for (let i = 0; i < 20; i++) {
        const fences = await Promise.all([
          a.leases.acquire(`l${i}`, 'a', 60_000),
          b.leases.acquire(`l${i}`, 'b', 60_000),
        ]);
        expect(fences.filter((fence) => fence !== undefined)).toHaveLength(1);
      }
    });
  });

  describe('split brain (T23)', () => {
    it('a leader that slept past its lease cannot append any more', async () => {
      await empty();
      const [a, b] = [await open(), await open()];
      const old = (await a.leases.acquire('run', 'a', 10_000)) as Fence;
      const oldJournal = await a.journals.open('r', old);
      await oldJournal.append(['a1'], 0);
      await advance(10_001);
      const fence = (await b.leases.acquire('run', 'b', 10_000)) as Fence;
      expect(fence.epoch).toBeGreaterThan(old.epoch);
      // Nothing was written since: only the lease tells the two apart.
      await expect(oldJournal.append(['a2'], 1)).rejects.toMatchObject({ code: 'RUN_LOCKED' });
      const newJournal = await b.journals.open('r', fence);
      expect(await newJournal.append(['b1'], 1)).toBe(2);
      await expect(oldJournal.append(['a2'], 2)).rejects.toMatchObject({ code: 'RUN_LOCKED' });
      expect(await a.leases.renew(old, 10_000)).toBe(false);
      expect((await newJournal.readAll()).map(({ event }) => event)).toEqual(['a1', 'b1']);
    });

    it('a leader that was stopped in the middle of its work finds its lease gone when it goes on', async () => {
      await empty();
      const leader = startLeader(url);
      await leader.said('appended');
      leader.process.kill('SIGSTOP');
      await advance(60_001);
      const store = await open();
      const fence = (await store.leases.acquire('run', 'second', 60_000)) as Fence;
      const journal = await store.journals.open('r', fence);
      const before = journal.lastSeq;
      await journal.append(['second'], before);
      leader.process.kill('SIGCONT');
      await leader.said('RUN_LOCKED');
      const events = (await journal.readAll()).map(({ event }) => event);
      expect(events).toEqual([...Array.from({ length: before }, () => 'first'), 'second']);
    });

    it('appends and takeovers at the same moment: every acknowledged event is there, no other', async () => {
      await empty();
      const stores = [await open(), await open()];
      const acknowledged: string[] = [];
      async function lead(store: Store, name: string): Promise<void> {
        for (let term = 0; term < 10; term++) {
          const fence = await store.leases.acquire('run', `${name}${term}`, 60_000);
          if (fence === undefined) continue;
          await workUntilLost(store, fence);
        }
      }
      async function workUntilLost(store: Store, fence: Fence): Promise<void> {
        const journal = await store.journals.open('contested', fence);
        for (let i = 0; i < 20; i++) {
          const event = `${fence.holder}.${fence.epoch}.${i}`;
          try {
            await journal.append([event], journal.lastSeq);
          } catch (error) {
            expect(error).toMatchObject({ code: 'RUN_LOCKED' });
            return;
          }
          acknowledged.push(event);
          // The other one finds the lease run out while this one still believes to lead.
          if (i === 10) await sql('UPDATE headwater.leases SET expires_at = now()');
        }
      }
      await Promise.all([lead(stores[0]!, 'a'), lead(stores[1]!, 'b')]);
      const journal = await stores[0]!.journals.open('contested');
      const events = (await journal.readAll()).map(({ event }) => event);
      expect(events.length).toBeGreaterThan(50);
      expect([...events].sort()).toEqual(acknowledged.sort());
      const epochs = events.map((event) => Number(String(event).split('.')[1]));
      expect(epochs).toEqual(epochs.toSorted((x, y) => x - y));
    });
  });

  describe('a failing database (T24)', () => {
    it('connections cut all the time: nothing acknowledged is lost, nothing counts twice', async () => {
      await empty();
      const store = await open();
      const journal = await store.journals.open('cut');
      const work = { done: false };
      const cutting = (async () => {
        while (!work.done) await server.cutConnections();
      })();
      for (let i = 0; i < 60; i++) await journal.append([i], i);
      for (let i = 0; i < 60; i++) expect(await store.records.put('c', 'counter', i, i)).toBe(i + 1);
      const ids = Array.from({ length: 30 }, (_, i) => `t${i}`);
      await store.tasks.enqueue(ids.map((id) => ({ id, kind: 'k', payload: null })));
      await Promise.all(ids.map((id) => store.tasks.finish(id, id)));
      work.done = true;
      await cutting;
      expect((await journal.readAll()).map(({ event }) => event)).toEqual(
        Array.from({ length: 60 }, (_, i) => i),
      );
      expect(await store.records.get('c', 'counter')).toEqual({ value: 59, version: 60 });
      expect(await store.tasks.results(ids)).toEqual(ids.map((id) => ({ result: id })));
    });

    it('a server that crashes and comes back has everything that was acknowledged', async () => {
      await empty();
      const store = await open();
      const journal = await store.journals.open('crashed');
      let acknowledged = 0;
      const writing = (async () => {
        for (let i = 0; i < 200; i++) acknowledged = await journal.append([i], i);
      })();
      await server.crash();
      await writing;
      expect(acknowledged).toBe(200);
      expect(await journal.readAll()).toHaveLength(200);
    });

    it('listening goes on after the connection was cut', async () => {
      const [a, b] = [await open(), await open()];
      let heard = 0;
      let tell = () => {};
      const hear = () =>
        new Promise<void>((resolve) => {
          tell = resolve;
        });
      const first = hear();
      b.wakeups.subscribe('t', () => {
        heard += 1;
        tell();
      });
      await first;
      const again = hear();
      await server.cutConnections();
      // Everybody looks once when the connection is back.
      await again;
      expect(heard).toBeGreaterThan(1);
      await Promise.all([a.close(), b.close()]);
    });
  });

  describe('addresses', () => {
    it('a database that does not exist is CONNECTION_FAILED with advice', async () => {
      const absent = openPostgresStore(url.replace('/test', '/absent'));
      await expect(absent).rejects.toMatchObject({
        code: 'CONNECTION_FAILED',
        hint: expect.stringMatching('createdb'),
      });
    });
  });
});

describe('addresses of databases', () => {
  it.each([
    'postgres://u:hush/hush@host/db',
    'postgres://u:hush#hush@host/db',
    'postgres://u:12/hush@host/db',
    'postgres://u:hush?hush@host/db',
    'postgres://u:hush@host/db?poolSize=0',
  ])('%s is refused without showing the password', async (url) => {
    const error = await openPostgresStore(url).catch((caught: unknown) => caught);
    expect(error).toMatchObject({ code: 'OPTION_INVALID' });
    expect(inspected(error)).not.toContain('hush');
  });

  it('a server that is not there is CONNECTION_FAILED, the password does not show', async () => {
    const options = { retryForMs: 0 };
    const error = await openPostgresStore('postgres://u:hush@127.0.0.1:1/db', options).catch(
      (e: unknown) => e,
    );
    expect(error).toMatchObject({ code: 'CONNECTION_FAILED', where: 'postgres://127.0.0.1:1/db' });
    expect(inspected(error)).not.toContain('hush');
  });
});

function startLeader(url: string) {
  const script = join(import.meta.dirname, '../../test/support/postgres-leader.ts');
  const child = spawn(process.execPath, [script, url], { stdio: ['ignore', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout });
  const said = (word: string) =>
    new Promise<void>((resolve) => {
      lines.on('line', (line) => {
        if (line === word) resolve();
      });
    });
  return { process: child, said };
}

function inspected(error: unknown): string {
  const { message, hint, where, cause } = error as Record<string, unknown>;
  return [message, hint, where, String(cause), JSON.stringify(cause)].join(' ');
}
