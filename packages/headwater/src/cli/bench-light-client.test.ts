import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { createWorld, RUN, type World } from '../../test/support/coordinator-world.ts';
import type { Timers } from '../base/clock.ts';
import { ed25519FromSeed } from '../base/ed25519-node.ts';
import { readBody } from '../client/body.ts';
import { nodeHasher } from '../client/hasher-node.ts';
import { parseJoinToken } from '../federation/wire/join-token.ts';
import type { Transport } from '../federation/wire/transport.ts';
import { enterLightClient, type LightParts, type Sample, WAIT_SECONDS } from './bench-light-client.ts';
import { lightUpdates, type MakeUpdate } from './bench-light-updates.ts';

const CLIENTS = 300;
const COHORT = 30;
const ROUNDS = 2;

/** Different bytes for every call, the same in every run of the tests. */
function entropyOf(name: string): (bytes: number) => Uint8Array {
  let calls = 0;
  return (bytes) =>
    new Uint8Array(createHash('sha512').update(`${name} ${calls++}`).digest().subarray(0, bytes));
}

function transportTo(world: World): Transport {
  return async ({ method, path, headers, body }, signal = new AbortController().signal) => {
    const length = { 'content-length': String(body?.byteLength ?? 0) };
    const pieces = async function* () {
      if (body !== undefined) yield body;
    };
    return world.coordinator.handle({
      ...{ method, path, headers: { ...headers, ...length }, body: pieces() },
      ...{ remoteAddress: '127.0.0.1', signal },
    });
  };
}

/** Training takes no time. */
const impatient: Timers = {
  after(_ms, fire) {
    const immediate = setImmediate(fire);
    return () => clearImmediate(immediate);
  },
};

interface Seen {
  readonly samples: Sample[];
  readonly failures: string[];
  readonly updates: { made: Promise<MakeUpdate> | undefined };
}

async function enter(world: World, seen: Seen, number: number): Promise<() => Promise<number>> {
  const { clock } = world.time;
  const parts: LightParts = {
    ...{ transport: transportTo(world), clock, timers: impatient, stopwatch: clock, hasher: nodeHasher },
    entropy: entropyOf(`client ${number}`),
    observe: (sample) => seen.samples.push(sample),
    onFailure: (route, reason) => seen.failures.push(`${route} ${reason}`),
    trainingMs: () => 0,
    async train(client, { round, params }, body) {
      const bytes = await readBody(body, params.bytes);
      seen.updates.made ??= Promise.resolve(lightUpdates(bytes));
      return (await seen.updates.made)(client * 16 + round);
    },
  };
  const seed = createHash('sha256').update(`key ${number}`).digest();
  const { secret } = parseJoinToken(await world.token(`owner-${number}`));
  const identity = { number, signer: ed25519FromSeed(seed), secret };
  return enterLightClient(parts, identity, new AbortController().signal);
}

describe('hundreds of clients at one coordinator', () => {
  it('no request is lost, every update counts once, and nobody is woken in vain', async () => {
    // Nobody's time is ever up: whoever is answered was woken.
    let waits = 0;
    const timers = {
      after(ms: number) {
        if (ms === 1000 * WAIT_SECONDS) waits++;
        return () => undefined;
      },
    };
    const recipe = { minOwners: CLIENTS, cohortSize: COHORT, rounds: ROUNDS };
    const world = await createWorld(recipe, { timers, entropy: entropyOf('coordinator') });
    const seen: Seen = { samples: [], failures: [], updates: { made: undefined } };
    const entering = Array.from({ length: CLIENTS }, (_, number) => enter(world, seen, number));
    const playing = (await Promise.all(entering)).map((goOn) => goOn());
    const counted = await Promise.all(playing);

    expect(seen.failures).toEqual([]);
    expect(counted.reduce((sum, updates) => sum + updates, 0)).toBe(ROUNDS * COHORT);
    const state = await world.coordinator.operator.state(RUN);
    expect(state?.status).toBe('finished');
    expect(state?.closed.map(({ members }) => Object.keys(members).length)).toEqual([COHORT, COHORT]);
    expect(new Set(state?.closed.flatMap(({ members }) => Object.values(members))).size).toBe(
      ROUNDS * COHORT,
    );

    const polls = seen.samples.filter(({ route }) => route === 'task').map(({ got }) => got);
    const told = (what: string) => polls.filter((got) => got === what).length;
    expect({ task: told('task'), over: told('over'), nothing: told('nothing') }).toEqual({
      task: ROUNDS * COHORT,
      over: CLIENTS,
      nothing: 0,
    });
    // A poll that was woken in vain would have waited once more.
    expect(waits).toBeLessThanOrEqual(polls.length);
    expect(waits).toBeGreaterThan(CLIENTS - COHORT);
  });
});
