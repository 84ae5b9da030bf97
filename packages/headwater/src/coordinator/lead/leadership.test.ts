import { describe, expect, it } from 'vitest';
import { createWorld, playToTheEnd, RUN, type World } from '../../../test/support/coordinator-world.ts';
import { settled } from '../../../test/support/fake-time.ts';
import { HeadwaterError } from '../../base/errors.ts';
import { replay } from '../../federation/machine.ts';
import type { Coordinator, CoordinatorParts } from '../ports.ts';

/** Two processes over one store; `world.coordinator` says which one clients talk to. */
async function twoProcesses(): Promise<{
  readonly world: World;
  readonly a: Coordinator;
  readonly b: Coordinator;
  readonly forwarded: string[];
}> {
  const processes = new Map<string, Coordinator>();
  const forwarded: string[] = [];
  const parts = (node: string): Partial<CoordinatorParts> => ({
    node,
    exclusive: false,
    forward: (to, request) => {
      forwarded.push(`${node} → ${to}`);
      const other = processes.get(to);
      return other === undefined ? Promise.reject(new Error('connection refused')) : other.handle(request);
    },
  });
  const world = await createWorld({}, parts('a'));
  const a = world.coordinator;
  processes.set('a', a);
  await world.start(parts('b'));
  const b = world.coordinator;
  processes.set('b', b);
  return { world, a, b, forwarded };
}

describe('coordinator: several processes over one store', () => {
  it('any of them answers clients, one leads the run', async () => {
    const { world, b, forwarded } = await twoProcesses();
    expect(world.coordinator).toBe(b);
    const clients = [await world.client('ann'), await world.client('ben')];
    await settled();
    await playToTheEnd(world, clients);
    expect(new Set(forwarded)).toEqual(new Set(['b → a']));
    expect(world.published).toHaveLength(1);
  });

  it('another one takes over when the leader gives up, and clients notice nothing but a pause', async () => {
    const { world, a } = await twoProcesses();
    const ann = await world.client('ann');
    const ben = await world.client('ben');
    await settled();
    await ann.train((await ann.task()).task!);
    await a.close(0);
    await world.time.advance(6_000);
    expect((await ann.task()).task).toBeNull();
    await playToTheEnd(world, [ann, ben]);
    const events = (await world.coordinator.operator.events(RUN, 0)).map(({ event }) => event);
    expect(events.filter(({ type }) => type === 'resumed')).toHaveLength(1);
    expect(replay(events)).toMatchObject({ status: 'finished', closed: [{ round: 1 }, { round: 2 }] });
  });

  it('a leader that was overtaken writes nothing more', async () => {
    const { world, a, b, forwarded } = await twoProcesses();
    const ann = await world.client('ann');
    await world.client('ben');
    await settled();
    const task = (await ann.task()).task!;
    // The leader hangs for longer than its lease lasts, the other one takes over.
    const { leases } = world.store;
    const { renew } = leases;
    Object.assign(leases, {
      renew: async (fence: { holder: string }, ttlMs: number) =>
        fence.holder !== 'a' && renew(fence as never, ttlMs),
    });
    Object.assign(world, { coordinator: a });
    await world.time.advance(30_000);
    Object.assign(world, { coordinator: b });
    await world.time.advance(10_000);
    expect((await ann.train(task)).json.accepted).toBe(true);
    // Whoever still talks to the old one is passed on.
    Object.assign(world, { coordinator: a });
    expect((await ann.task()).status).toBe('running');
    expect(forwarded.at(-1)).toBe('a → b');
    const events = (await b.operator.events(RUN, 0)).map(({ event }) => event);
    expect(events.filter(({ type }) => type === 'resumed')).toHaveLength(1);
    expect(replay(events)).toEqual(await b.operator.state(RUN));
  });

  it('what the operator asks for at one process is done by the one that leads', async () => {
    const { world, a, b } = await twoProcesses();
    const ann = await world.client('ann');
    await world.client('ben');
    await settled();
    const asked = async (act: Promise<void>) => {
      const outcome = act.then(
        () => 'done',
        (error: Error) => error.message,
      );
      await settled();
      await world.time.advance(2_000);
      return outcome;
    };
    expect(await asked(b.operator.pause(RUN, 'maintenance'))).toBe('done');
    expect((await a.operator.state(RUN))?.paused).toBe('maintenance');
    expect(await asked(b.operator.resume(RUN))).toBe('done');
    expect((await ann.task()).task).not.toBeNull();
    const clients = await b.operator.clients(RUN);
    expect(clients.map(({ owner, standing }) => [owner, standing]).sort()).toEqual([
      ['ann', 'active'],
      ['ben', 'active'],
    ]);
    const { clientId } = clients.find(({ owner }) => owner === 'ann')!;
    expect(await asked(b.operator.revokeClient(clientId))).toBe('done');
    expect((await ann.call('GET', `/v1/runs/${RUN}/task`)).json.error.code).toBe('revoked');
    expect(await asked(b.operator.cancel(RUN, 'enough'))).toBe('done');
    expect(await b.operator.runs()).toMatchObject([{ status: 'cancelled', reason: 'enough' }]);
    expect(await world.store.records.list('commands')).toEqual([]);
  });

  it('without a way to the leader, clients are told to come again', async () => {
    const { world } = await twoProcesses();
    const ann = await world.client('ann');
    const forward = () => Promise.reject(new Error('connection refused'));
    await world.start({ node: 'c', exclusive: false, forward });
    const answer = await ann.call('GET', `/v1/runs/${RUN}/task`);
    expect(answer.json.error).toMatchObject({ code: 'unavailable', retryAfterMs: 1000 });
    expect(await world.coordinator.operator.runs()).toMatchObject([{ run: RUN, status: 'waiting' }]);
  });
});

describe('coordinator: storage that fails', () => {
  it('the run waits and goes on by itself; nothing acknowledged is lost', async () => {
    const world = await createWorld();
    const ann = await world.client('ann');
    const ben = await world.client('ben');
    await settled();
    const task = (await ann.task()).task!;
    const { journals } = world.store;
    const { open } = journals;
    let broken = false;
    Object.assign(journals, {
      open: async (...args: Parameters<typeof open>) => {
        const journal = await open(...args);
        const append: typeof journal.append = (events, seq) =>
          broken ? Promise.reject(diskFull()) : journal.append(events, seq);
        return new Proxy(journal, {
          get: (target, key) => (key === 'append' ? append : Reflect.get(target, key)),
        });
      },
    });
    await world.restart();
    broken = true;
    const refused = await ann.train(task);
    expect([refused.status, refused.json.error.code]).toEqual([507, 'storage']);
    expect(refused.json.error.retryAfterMs).toBeGreaterThan(0);
    broken = false;
    await world.time.advance(10_000);
    expect((await ann.train(task)).json.accepted).toBe(true);
    await playToTheEnd(world, [ann, ben]);
    expect(world.published).toHaveLength(1);
  });

  it.each([
    ['comes back within seconds: the run goes on by itself', 3_000, 'running'],
    ['stays full: the run pauses and says why', 60_000, 'paused'],
  ])('a disk that is full when the model is written %s', async (_, ms, status) => {
    const world = await createWorld();
    const ann = await world.client('ann');
    const ben = await world.client('ben');
    await settled();
    const { put } = world.blobs;
    Object.assign(world.blobs, { put: () => Promise.reject(diskFull()) });
    await ann.train((await ann.task()).task!);
    await ben.train((await ben.task()).task!);
    await world.time.advance(ms);
    const [summary] = await world.coordinator.operator.runs();
    const reason = status === 'paused' ? expect.stringContaining('disk is full') : null;
    expect(summary).toMatchObject({ status, reason });
    Object.assign(world.blobs, { put });
    if (status === 'paused') await world.coordinator.operator.resume(RUN);
    await world.time.advance(10_000);
    await playToTheEnd(world, [ann, ben]);
    expect(world.published).toHaveLength(1);
  });
});

function diskFull() {
  return new HeadwaterError('STORAGE_FAILED', 'cannot write: the disk is full');
}
