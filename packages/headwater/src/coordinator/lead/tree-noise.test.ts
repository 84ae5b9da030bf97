import { expect, it } from 'vitest';
import { createWorld, RUN, type TestClient, type World } from '../../../test/support/coordinator-world.ts';
import { settled } from '../../../test/support/fake-time.ts';
import { stuckRelease } from '../../../test/support/stuck-release.ts';
import { mostParticipations } from '../../federation/privacy-ledger.ts';
import { runPrivacy } from '../../runs/privacy.ts';

const privacy = {
  ...{ clipNorm: 1, noiseMultiplier: 1, maxParticipations: 2, delta: 1e-3 },
  tree: { leaves: 4 },
};

async function keptKeys(world: World): Promise<number[]> {
  const rows = await world.store.records.list('noise-keys', `${RUN}/`);
  return rows
    .filter(({ value }) => (value as { key: string | null }).key !== null)
    .map(({ key }) => Number(key.slice(RUN.length + 1)))
    .sort((a, b) => a - b);
}

async function fourOwners(rounds: number): Promise<{ world: World; players: TestClient[] }> {
  const world = await createWorld({ privacy, rounds, cohortSize: 1, quorum: 1, minOwners: 4 });
  const players: TestClient[] = [];
  for (const owner of ['ann', 'ben', 'cid', 'dan']) players.push(await world.client(owner));
  await settled();
  return { world, players };
}

async function playRound(world: World, players: readonly TestClient[]): Promise<string> {
  for (const player of players) {
    const { task } = await player.task();
    if (task === null) continue;
    await player.train(task);
    await settled();
    await world.time.advance(1);
    return player.owner;
  }
  throw new Error('nobody is asked');
}

async function releasesOf(world: World) {
  const events = await world.coordinator.operator.events(RUN, 0);
  return events.flatMap(({ event }) => (event.type === 'aggregated' ? [event] : []));
}

it('a tree keeps the keys of its live nodes and no others; its last release destroys them all', async () => {
  const { world, players } = await fourOwners(5);
  const kept: number[][] = [];
  const asked: string[] = [];
  for (let round = 1; round <= 5; round++) {
    asked.push(await playRound(world, players));
    kept.push(await keptKeys(world));
  }
  expect(kept).toEqual([[1], [2], [2, 3], [], []]);
  expect(new Set(asked.slice(0, 4)).size).toBe(4);
  const rows = (await releasesOf(world)).map(({ report }) => report.release!.tree);
  expect(rows.map((tree) => tree?.nodes)).toEqual([1, 1, 2, 1, 1]);
});

it('a release of a tree is made again after a crash to the same bits, and charged once', async () => {
  const { world, players } = await fourOwners(4);
  for (let round = 1; round <= 3; round++) await playRound(world, players);
  const made: string[] = [];
  await world.restart(stuckRelease(made, world));
  await playRound(world, players);
  expect(await keptKeys(world)).toEqual([2, 3, 4]);
  await world.restart(stuckRelease(made, world));
  await settled();
  await world.restart();
  await settled();
  const releases = await releasesOf(world);
  expect(releases).toHaveLength(4);
  expect(made).toEqual([releases[3]!.params, releases[3]!.params]);
  expect(await keptKeys(world)).toEqual([]);
  const state = (await world.coordinator.operator.state(RUN))!;
  expect(mostParticipations(state)).toBe(1);
  const events = (await world.coordinator.operator.events(RUN, 0)).map(({ event }) => event);
  const spent = runPrivacy(state, privacy, events);
  // One tree of four leaves: three nodes above each owner's leaf, so one release with z = 1/√3.
  expect(spent.guarantee!.epsilon).toBeGreaterThan(5);
  expect(spent.guarantee!.epsilon).toBeLessThan(7);
  expect(spent.statement).toContain('one in each tree of noise over 4 releases');
});

it('a run that is cancelled in the middle of a tree keeps no key', async () => {
  const { world, players } = await fourOwners(4);
  await playRound(world, players);
  expect(await keptKeys(world)).toEqual([1]);
  await world.coordinator.operator.cancel(RUN, 'enough');
  await settled();
  expect(await keptKeys(world)).toEqual([]);
});
