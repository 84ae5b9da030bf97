import { describe, expect, it } from 'vitest';
import {
  begunWorld,
  createWorld,
  playToTheEnd,
  RUN,
  tinyRecipe,
  type World,
} from '../../../test/support/coordinator-world.ts';
import { settled } from '../../../test/support/fake-time.ts';
import { stuckRelease } from '../../../test/support/stuck-release.ts';
import type { RunEvent } from '../../federation/events.ts';
import { mostParticipations } from '../../federation/privacy-ledger.ts';
import { runPrivacy } from '../../runs/privacy.ts';
import type { Records } from '../../storage/store.ts';
import { createNoiseKeys, forbidReleases } from './noise-keys.ts';

const privacy = { clipNorm: 1, noiseMultiplier: 1, maxParticipations: 10, delta: 1e-3 };
const records = (world: World): Records => world.store.records;
const keyOf = async (world: World, round: number) =>
  (await records(world).get('noise-keys', `${RUN}/${round}`))?.value as { key: string | null } | undefined;

async function eventsOf(world: World): Promise<RunEvent[]> {
  return (await world.coordinator.operator.events(RUN, 0)).map(({ event }) => event);
}

async function releasesOf(world: World) {
  return (await eventsOf(world)).flatMap((event) => (event.type === 'aggregated' ? [event] : []));
}

/** Both owners have answered in a coordinator that dies before its release is in the journal. */
async function diedAggregating() {
  const made: string[] = [];
  const world = await createWorld({ privacy, rounds: 1 });
  const [ann, ben] = [await world.client('ann'), await world.client('ben')];
  await world.restart(stuckRelease(made, world));
  for (const client of [ann, ben]) await client.train((await client.task()).task!);
  await settled();
  return { world, made, clients: [ann, ben] };
}

describe('the noise of a deployment', () => {
  it('is made again after a crash, and charged once', async () => {
    const { world, made, clients } = await diedAggregating();
    const { key } = (await keyOf(world, 1))!;
    expect(key).toHaveLength(43);
    await world.restart(stuckRelease(made, world));
    await settled();
    expect((await keyOf(world, 1))!.key).toBe(key);
    await world.restart();
    await settled();
    await playToTheEnd(world, clients);
    const [release, ...more] = await releasesOf(world);
    expect(more).toEqual([]);
    expect(made).toEqual([release!.params, release!.params]);
    const state = (await world.coordinator.operator.state(RUN))!;
    expect(mostParticipations(state)).toBe(1);
    expect((await keyOf(world, 1))!.key).toBeNull();
  });

  it('follows from the key alone: another coordinator with another key releases something else', async () => {
    const params = await Promise.all(
      [1, 2].map(async (first) => {
        const entropy = (bytes: number) =>
          Uint8Array.from({ length: bytes }, (_, i) => (first * (i + 3)) % 251);
        const world = await createWorld({ privacy, rounds: 1 }, { entropy });
        await playToTheEnd(world, [await world.client('ann'), await world.client('ben')]);
        return (await releasesOf(world))[0]!.params;
      }),
    );
    expect(params[0]).not.toBe(params[1]);
  });

  it('leaves its key in no event, no line and no fact', async () => {
    const { world, clients } = await diedAggregating();
    const { key } = (await keyOf(world, 1))!;
    await world.restart();
    await settled();
    await playToTheEnd(world, clients);
    const written = [await eventsOf(world), world.facts, world.logged];
    expect(JSON.stringify(written)).not.toContain(key);
    const all = await Promise.all(
      ['runs', 'tokens', 'clients', 'owners', 'noise-keys'].map((name) => records(world).list(name)),
    );
    expect(JSON.stringify(all)).not.toContain(key);
  });

  it('has its key destroyed by whoever takes the run up, where the crash came right after the release', async () => {
    const world = await begunWorld({ privacy });
    const inner = records(world);
    const put = inner.put.bind(inner);
    let dead = false;
    inner.put = (collection, key, value, version) => {
      dead ||= collection === 'noise-keys' && (value as { key: string | null }).key === null;
      return dead ? new Promise(() => undefined) : put(collection, key, value, version);
    };
    for (const client of [world.ann, world.ben]) await client.train((await client.task()).task!);
    await settled();
    expect(dead).toBe(true);
    expect((await keyOf(world, 1))!.key).not.toBeNull();
    dead = false;
    inner.put = put;
    await world.restart();
    await settled();
    expect((await keyOf(world, 1))!.key).toBeNull();
    expect(await releasesOf(world)).toHaveLength(1);
  });

  it('is never made a second time for one round, nor from a backup', async () => {
    const world = await begunWorld({ privacy, rounds: 1 });
    await playToTheEnd(world, [world.ann, world.ben]);
    const [release] = await releasesOf(world);
    const entropy = () => new Uint8Array(32);
    const confirm = async () => undefined;
    const keys = createNoiseKeys({ run: RUN, records: records(world), entropy, confirm });
    await expect(keys.of(1, release!.membership)).rejects.toMatchObject({ code: 'RUN_CORRUPT' });
    await keys.of(2, 'm');
    await expect(keys.of(2, 'other members')).rejects.toMatchObject({ code: 'RUN_CORRUPT' });
    await forbidReleases(records(world));
    await expect(keys.of(3, 'm')).rejects.toThrow('restored from a backup');
    expect((await keyOf(world, 2))!.key).toBeNull();
  });

  it('is given to nobody who lost the run to another process', async () => {
    const world = await begunWorld({ privacy });
    const confirm = () => Promise.reject(new Error('somebody else leads'));
    const entropy = () => new Uint8Array(32);
    const keys = createNoiseKeys({ run: RUN, records: records(world), entropy, confirm });
    await expect(keys.of(1, 'm')).rejects.toThrow('somebody else leads');
  });
});

describe('the ledger of a deployment', () => {
  it('gives the same ε from a replay, and says what it means', async () => {
    const world = await begunWorld({ privacy, rounds: 3 });
    await playToTheEnd(world, [world.ann, world.ben]);
    const before = (await world.coordinator.operator.state(RUN))!;
    const spent = runPrivacy(before, privacy, await eventsOf(world));
    expect(spent).toMatchObject({ stamp: null, rounds: 3, participations: 3 });
    // Three releases with z = 1 are one with z = 1/√3.
    expect(spent.guarantee!.epsilon).toBeGreaterThan(5);
    expect(spent.guarantee!.epsilon).toBeLessThan(7);
    expect(spent.statement).toContain('for each client');
    await world.restart();
    const after = (await world.coordinator.operator.state(RUN))!;
    expect(runPrivacy(after, privacy, await eventsOf(world))).toEqual(spent);
  });

  it('ends the run when the owners’ budgets are spent; coming back gives none back', async () => {
    const capped = { ...privacy, maxParticipations: 1 };
    const world = await begunWorld({ privacy: capped, rounds: 5 });
    await playToTheEnd(world, [world.ann, world.ben]);
    expect(await releasesOf(world)).toHaveLength(1);
    const state = (await world.coordinator.operator.state(RUN))!;
    expect(state).toMatchObject({ status: 'finished', roster: { ann: { participations: 1 } } });
  });

  it('holds nothing that follows from the data without noise', async () => {
    const world = await begunWorld({ privacy, rounds: 1 });
    await playToTheEnd(world, [world.ann, world.ben]);
    for (const event of await eventsOf(world)) {
      if (event.type === 'update-received')
        expect(event).toMatchObject({
          check: { ok: true, l2Norm: null },
          stats: { meanLoss: null, lastLoss: null, numTokens: 0 },
        });
      if (event.type !== 'aggregated') continue;
      expect(event.report).toMatchObject({ clamped: 0, release: { noise: 'secret', noiseMultiplier: 1 } });
      expect(event.report.release!.observed).toBeUndefined();
    }
  });

  it('tells no reason that a client gave', async () => {
    const world = await begunWorld({ privacy });
    const body = { round: 1, reason: 'loss became 17.3' };
    await world.ann.call('POST', `/v1/runs/${RUN}/failures`, { body });
    expect(JSON.stringify([await eventsOf(world), world.logged])).not.toContain('17.3');
  });
});

it('runs without privacy have no keys', async () => {
  const world = await begunWorld({ rounds: 1 });
  await playToTheEnd(world, [world.ann, world.ben]);
  expect(await records(world).list('noise-keys')).toEqual([]);
  expect(tinyRecipe).not.toHaveProperty('privacy');
});
