import { describe, expect, it } from 'vitest';
import { createWorld, playToTheEnd, RUN } from '../../test/support/coordinator-world.ts';
import { settled } from '../../test/support/fake-time.ts';
import { canonicalJson } from '../base/canonical.ts';
import { replay } from '../federation/machine.ts';

async function eventsOf(world: Awaited<ReturnType<typeof createWorld>>) {
  return (await world.coordinator.operator.events(RUN, 0)).map(({ event }) => event);
}

describe('coordinator: a run', () => {
  it('waits for its owners, goes through its rounds, publishes and ends', async () => {
    const world = await createWorld();
    const ann = await world.client('ann');
    expect((await ann.task()).status).toBe('waiting');
    const ben = await world.client('ben');
    await settled();
    expect(await ann.task()).toMatchObject({ status: 'running', round: 1, rounds: 2, task: { round: 1 } });
    await playToTheEnd(world, [ann, ben]);
    expect(world.published).toHaveLength(1);
    const last = await ben.task();
    expect(last).toMatchObject({ status: 'finished', task: null, result: { digest: world.published[0] } });
    expect(await world.coordinator.operator.runs()).toMatchObject([
      { run: RUN, status: 'finished', owners: 2 },
    ]);
  });

  it('is the replay of its journal, whoever asks first', async () => {
    const results = [];
    for (const order of [
      ['ann', 'ben', 'cid'],
      ['cid', 'ann', 'ben'],
    ]) {
      const world = await createWorld({ minOwners: 3 });
      const clients = [];
      for (const owner of order) clients.push(await world.client(owner));
      await settled();
      await playToTheEnd(world, clients);
      const state = await world.coordinator.operator.state(RUN);
      expect(canonicalJson(replay(await eventsOf(world)))).toBe(canonicalJson(state));
      results.push(state?.closed.map(({ params, members }) => ({ params, members })));
    }
    expect(results[1]).toEqual(results[0]);
  });

  it('goes on after a crash between any two requests, to the same result', async () => {
    const play = async (crashAfter: number) => {
      const world = await createWorld();
      const clients = [await world.client('ann'), await world.client('ben')];
      await settled();
      let requests = 0;
      const { send } = world;
      Object.assign(world, {
        send: async (request: Parameters<typeof send>[0]) => {
          if (++requests === crashAfter) await world.restart();
          return send(request);
        },
      });
      await playToTheEnd(world, clients);
      return { params: world.published[0], requests };
    };
    const whole = await play(0);
    for (let at = 1; at <= whole.requests; at++)
      expect([at, (await play(at)).params]).toEqual([at, whole.params]);
  });

  it('deletes updates that were counted, keeps what it needs', async () => {
    const world = await createWorld();
    const clients = [await world.client('ann'), await world.client('ben')];
    await settled();
    await playToTheEnd(world, clients);
    await settled();
    const state = await world.coordinator.operator.state(RUN);
    expect(await world.blobs.list()).toEqual([state?.plan.initialParams, state?.params].sort());
  });
});
