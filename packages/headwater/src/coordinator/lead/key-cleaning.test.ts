import { expect, it } from 'vitest';
import { createWorld, playToTheEnd, RUN, type World } from '../../../test/support/coordinator-world.ts';
import { fakeTime, settled } from '../../../test/support/fake-time.ts';
import { memoryStore } from '../../storage/memory.ts';
import type { Store } from '../../storage/store.ts';

const privacy = { clipNorm: 1, noiseMultiplier: 1, maxParticipations: 10, delta: 1e-3 };

/** Destroys a key, and then fails so many times as if it had not: what follows in the log is not written. */
function reluctant(failures: number): Store {
  const store = memoryStore({ clock: fakeTime().clock });
  let left = failures;
  let destroying = false;
  return {
    ...store,
    records: {
      ...store.records,
      async list(collection, prefix) {
        if (collection === 'noise-keys' && destroying && left-- > 0) throw new Error('the database is away');
        return store.records.list(collection, prefix);
      },
      async put(collection, key, value, version) {
        const written = await store.records.put(collection, key, value, version);
        if (collection === 'noise-keys' && (value as { key: string | null }).key === null) {
          destroying = true;
          if (left-- > 0) throw new Error('the answer was lost');
        }
        return written;
      },
    },
  };
}

async function keptKeys(store: Store): Promise<string[]> {
  const rows = await store.records.list('noise-keys', `${RUN}/`);
  return rows.filter(({ value }) => (value as { key: string | null }).key !== null).map(({ key }) => key);
}

async function eventsOf(world: World) {
  return (await world.coordinator.operator.events(RUN, 0)).map(({ event }) => event);
}

it('a store that fails while a key is destroyed neither makes the release again nor stops the run', async () => {
  const store = reluctant(1);
  const world = await createWorld({ privacy, rounds: 2 }, { store });
  const clients = [await world.client('ann'), await world.client('ben')];
  await playToTheEnd(world, clients);
  const events = await eventsOf(world);
  expect(events.filter(({ type }) => type === 'aggregated')).toHaveLength(2);
  expect(events.filter(({ type }) => type === 'paused')).toEqual([]);
  expect(world.logged.join()).not.toContain('work-failed');
});

it('a run is over once its last key is destroyed, and not before', async () => {
  const store = reluctant(4);
  const world = await createWorld({ privacy, rounds: 1 }, { store });
  const clients = [await world.client('ann'), await world.client('ben')];
  for (const client of clients) await client.train((await client.task()).task!);
  await settled();
  const over = async () => ((await store.records.get('runs', RUN))!.value as { over: unknown }).over;
  expect(await over()).toBeNull();
  expect(world.logged.join()).toContain('noise-keys-not-destroyed');
  for (let i = 0; i < 4; i++) {
    await world.time.advance(31_000);
    await settled();
  }
  expect(await over()).not.toBeNull();
  expect(await keptKeys(store)).toEqual([]);
});
