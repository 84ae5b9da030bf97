import { expect, it } from 'vitest';
import { createWorld, RUN, type World } from '../../../test/support/coordinator-world.ts';
import { settled } from '../../../test/support/fake-time.ts';
import { runPrivacy } from '../../runs/privacy.ts';
import type { CoordinatorParts } from '../ports.ts';
import { drawnBy } from './secret-draw.ts';

const privacy = {
  ...{ clipNorm: 1, noiseMultiplier: 1, maxParticipations: 9, delta: 1e-3, population: 4 },
  poisson: { rate: 0.5 },
};
const OWNERS = ['ann', 'ben', 'cid', 'dan'];

async function fourOwners(parts: Partial<CoordinatorParts> = {}) {
  const world = await createWorld({ privacy, rounds: 2, cohortSize: 2, minOwners: 4 }, parts);
  const players = [];
  for (const owner of OWNERS) players.push(await world.client(owner));
  await settled();
  return { world, players };
}

async function eventsOf(world: World) {
  return (await world.coordinator.operator.events(RUN, 0)).map(({ event }) => event);
}

async function drawsOf(world: World) {
  return (await eventsOf(world)).flatMap((event) => (event.type === 'cohort-drawn' ? [event.owners] : []));
}

function keysIn(world: World) {
  return world.store.records.list('noise-keys', `${RUN}/`);
}

it('coins of a key fall the same again, for each owner on its own, as often as they should', () => {
  const owners = Array.from({ length: 4000 }, (_, i) => `c${i}`);
  const key = new Uint8Array(32).fill(9);
  const drawn = drawnBy(key, owners, 0.3);
  expect(drawnBy(key, owners, 0.3)).toEqual(drawn);
  expect(drawnBy(key, owners.slice(0, 50), 0.3)).toEqual(drawn.filter((owner) => owners.indexOf(owner) < 50));
  expect(Math.abs(drawn.length / 4000 - 0.3)).toBeLessThan((5 * Math.sqrt(0.21)) / Math.sqrt(4000));
  expect(drawnBy(new Uint8Array(32).fill(8), owners, 0.3)).not.toEqual(drawn);
  expect(drawnBy(key, owners, 1)).toEqual(owners);
  expect(drawnBy(key, owners, 0)).toEqual([]);
});

it('a deployment draws by a key that is destroyed with the draw in the journal, and stands in no event or line', async () => {
  const made: string[] = [];
  let next = 0;
  const entropy = (bytes: number) => {
    const key = Uint8Array.from({ length: bytes }, (_, i) => (++next * 37 + i * 11) % 251);
    made.push(Buffer.from(key).toString('base64url'));
    return key;
  };
  const { world, players } = await fourOwners({ entropy });
  const [first] = await drawsOf(world);
  for (let i = 0; i < 6; i++)
    for (const player of players) {
      const { task } = await player.task();
      if (task !== null) await player.train(task);
      await settled();
    }
  const draws = await drawsOf(world);
  expect(draws[0]).toEqual(first);
  expect(draws).toHaveLength(2);
  for (const { value } of await keysIn(world)) expect((value as { key: string | null }).key).toBeNull();
  const names = (await keysIn(world)).map(({ key }) => key).sort();
  expect(names).toEqual(['1', '2', 'draw-1', 'draw-2'].map((name) => `${RUN}/${name}`));
  const written = JSON.stringify([await eventsOf(world), world.facts, world.logged]);
  for (const key of made.filter((text) => text.length === 43)) expect(written).not.toContain(key);
  const events = await eventsOf(world);
  for (const event of events)
    if (event.type === 'aggregated') expect(event.report).toMatchObject({ numUpdates: 0, totalWeight: 0 });
  const state = (await world.coordinator.operator.state(RUN))!;
  const spent = runPrivacy(state, privacy, events);
  expect(spent.statement).toMatch(/about all 2 releases, .* probability 0.5.* \(ε, δ\) = /);
  await world.restart();
  expect(runPrivacy((await world.coordinator.operator.state(RUN))!, privacy, events)).toEqual(spent);
});

it('a draw that was not in the journal falls the same again after a crash', async () => {
  const { world } = await fourOwners();
  // As if a process had died between the key of the second draw and the journal.
  const key = new Uint8Array(32).fill(77);
  const record = { membership: '', key: Buffer.from(key).toString('base64url') };
  await world.store.records.put('noise-keys', `${RUN}/draw-2`, record, 0);
  await world.restart();
  await world.time.advance(100_000);
  await settled();
  expect((await drawsOf(world))[1]).toEqual(drawnBy(key, OWNERS, 0.5));
});
