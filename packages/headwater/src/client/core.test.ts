import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  type ClientFolder,
  mapStore,
  type Network,
  routeOf,
  startWorld,
  type TinyClient,
  tinyClient,
  tinyTrainer,
  type World,
} from '../../test/support/client-world.ts';
import { rejection } from '../../test/support/outcome.ts';
import { HeadwaterError } from '../base/errors.ts';
import type { ClientEvent, ClientParts } from './ports.ts';

const worlds: World[] = [];
afterEach(async () => {
  for (const world of worlds.splice(0)) await world.close();
});

async function world(...args: Parameters<typeof startWorld>): Promise<World> {
  const started = await startWorld(...args);
  worlds.push(started);
  return started;
}

/** Runs `ann` as given and `ben` without faults to the end; gives what was published. */
async function runBoth(here: World, ann: Omit<TinyClient, 'owner'> = {}): Promise<string> {
  const ben = tinyClient(here, { owner: 'ben', token: await here.token('ben') });
  const token = ann.token ?? (await here.token('ann'));
  const outcomes = await Promise.all([tinyClient(here, { owner: 'ann', token, ...ann }), ben]);
  expect(outcomes.map(({ status, owner }) => [status, owner])).toEqual([
    ['finished', 'ann'],
    ['finished', 'ben'],
  ]);
  return here.published.at(-1)!;
}

let undisturbed: string;
beforeAll(async () => {
  const here = await startWorld();
  undisturbed = await runBoth(here);
  await here.close();
});

describe('a client over a bad network', () => {
  const routes = [
    'POST peek',
    'POST join',
    'POST enrolment',
    'GET task',
    'GET blobs',
    'POST uploads',
    'PUT chunks',
    'POST updates',
    'POST evaluations',
  ];

  /** Loses the first requests of a route, or their answers. */
  function losing(wanted: string, what: 'before' | 'after', times: number): Network {
    let left = times;
    const lose = (route: string) => {
      if (route !== wanted || left === 0) return undefined;
      left--;
      throw new Error('lost');
    };
    return what === 'before'
      ? { before: (_, route) => lose(route) }
      : { after: (_, __, route) => lose(route) };
  }

  it.each(routes.flatMap((route) => [[route, 'before'] as const, [route, 'after'] as const]))(
    '%s, lost %s it arrived: tried again, each round is trained once, the same bits',
    async (route, what) => {
      const trained: number[] = [];
      const retries: ClientEvent[] = [];
      const published = await runBoth(await world(), {
        network: losing(route, what, 2),
        trained,
        onEvent: (event) => event.type === 'retry' && retries.push(event),
      });
      expect(published).toBe(undisturbed);
      expect(trained).toEqual([1, 2, 3]);
      expect(retries).toHaveLength(2);
    },
  );

  it('a download that breaks off goes on behind what is there', async () => {
    const ranges: (string | undefined)[] = [];
    let broken = 0;
    const network: Network = {
      before: (request, route) => route === 'GET blobs' && ranges.push(request.headers.range),
      after(response, _, route) {
        if (route !== 'GET blobs' || broken > 0) return undefined;
        broken++;
        return { ...response, body: cut(response.body, 100) };
      },
    };
    expect(await runBoth(await world(), { network })).toBe(undisturbed);
    expect(ranges.slice(0, 2)).toEqual([undefined, 'bytes=100-']);
  });

  it('damaged bytes are fetched again; three times damaged is an error', async () => {
    const damage = (times: number): Network => {
      let left = times;
      return {
        after(response, _, route) {
          if (route !== 'GET blobs' || left-- <= 0) return undefined;
          return { ...response, body: flipped(response.body) };
        },
      };
    };
    expect(await runBoth(await world(), { network: damage(2) })).toBe(undisturbed);
    const here = await world({ minOwners: 1 });
    const error = await rejection(
      tinyClient(here, { owner: 'ann', token: await here.token('ann'), network: damage(3) }),
    );
    expect(error.code).toBe('CONNECTION_FAILED');
  });

  it('a wrong clock is corrected by the coordinator’s', async () => {
    const hour = 3_600_000;
    const retries: string[] = [];
    const late = (parts: ClientParts) => ({ clock: { nowMs: () => parts.clock.nowMs() - hour } });
    const onEvent = (event: ClientEvent) => event.type === 'retry' && retries.push(event.reason);
    expect(await runBoth(await world(), { change: late, onEvent })).toBe(undisturbed);
    expect(retries).toEqual([]);
  });

  it('chunks may go compressed', async () => {
    const { compressChunk } = await import('./compress-node.ts');
    const { zstdCompressSync } = await import('node:zlib');
    const encodings: (string | undefined)[] = [];
    const published = await runBoth(await world(), {
      network: {
        before: ({ headers }, route) => route === 'PUT chunks' && encodings.push(headers['content-encoding']),
      },
      change: () => ({ compress: async (chunk) => ({ encoding: 'zstd', bytes: zstdCompressSync(chunk) }) }),
    });
    expect(published).toBe(undisturbed);
    expect(encodings).toEqual(['zstd', 'zstd', 'zstd']);
    const sparse = Uint8Array.from({ length: 100_000 }, (_, i) => (i % 16 === 0 ? (i * i) % 251 : 0));
    expect((await compressChunk(sparse))?.encoding).toBe('zstd');
    expect(await compressChunk(crypto.getRandomValues(new Uint8Array(60_000)))).toBeUndefined();
  });
});

describe('a client that is killed', () => {
  class Killed extends Error {}

  /** Dies once at the n-th write, then lives. */
  async function dyingAt(
    here: World,
    n: number,
    when: 'before' | 'after',
    trained: number[],
  ): Promise<boolean> {
    const folder: ClientFolder = new Map();
    const token = await here.token('ann');
    const ben = tinyClient(here, { owner: 'ben', token: await here.token('ben') });
    let writes = 0;
    let died = false;
    const dying = mapStore(folder, (at) => {
      if (at === when && writes++ === n) {
        died = true;
        throw new Killed();
      }
    });
    const first = tinyClient(here, { owner: 'ann', token, trained, change: () => ({ store: dying }) });
    await first.catch((error) => {
      if (!(error instanceof Killed) && !(error.cause instanceof Killed)) throw error;
    });
    if (died) await tinyClient(here, { owner: 'ann', token, folder, trained });
    await ben;
    return died;
  }

  it.each(['before', 'after'] as const)(
    '%s any of its writes, it continues to the same bits',
    async (when) => {
      for (let n = 0; ; n++) {
        const here = await world();
        const trained: number[] = [];
        const died = await dyingAt(here, n, when, trained);
        expect(here.published.at(-1)).toBe(undisturbed);
        // At most the training that was under way is done again.
        expect(trained.length - new Set(trained).size).toBeLessThanOrEqual(1);
        if (!died) break;
      }
    },
  );

  it('with an update in its memory, it sends those bytes and does not train again', async () => {
    const here = await world();
    const folder: ClientFolder = new Map();
    const trained: number[] = [];
    const token = await here.token('ann');
    const ben = tinyClient(here, { owner: 'ben', token: await here.token('ben') });
    const stop = new AbortController();
    const network: Network = {
      before(_, route) {
        if (route !== 'PUT chunks') return;
        stop.abort();
        throw new Error('cut');
      },
    };
    const error = await rejection(
      tinyClient(here, { owner: 'ann', token, folder, trained, network, signal: stop.signal }),
    );
    expect(error.code).toBe('INTERRUPTED');
    expect(trained).toEqual([1]);
    const update = folder.get('update-0');
    expect(update).toBeDefined();
    await tinyClient(here, { owner: 'ann', token, folder, trained });
    await ben;
    expect(trained).toEqual([1, 2, 3]);
    expect(here.published.at(-1)).toBe(undisturbed);
  });

  it('a client whose memory is gone says so and starts as new', async () => {
    const here = await world();
    const folder: ClientFolder = new Map();
    const token = await here.token('ann');
    const ben = tinyClient(here, { owner: 'ben', token: await here.token('ben') });
    const stop = new AbortController();
    const onEvent = (event: ClientEvent) => event.type === 'receipt' && event.round === 1 && stop.abort();
    await rejection(tinyClient(here, { owner: 'ann', token, folder, signal: stop.signal, onEvent }));
    for (const key of [...folder.keys()]) if (key !== 'joined') folder.delete(key);
    const events: string[] = [];
    const said: unknown[] = [];
    const network: Network = {
      before: ({ body }, route) =>
        route === 'POST enrolment' && said.push(JSON.parse(new TextDecoder().decode(body))),
    };
    await tinyClient(here, { owner: 'ann', folder, network, onEvent: ({ type }) => events.push(type) });
    await ben;
    expect(events).toContain('lost-state');
    expect(said).toMatchObject([{ lostState: true }]);
  });

  it('a damaged record of what was joined is an error that says what to do', async () => {
    const folder = new Map([['joined', new Uint8Array([1, 2, 3])]]);
    const error = await rejection(tinyClient(await world(), { owner: 'ann', folder }));
    expect(error).toMatchObject({ code: 'STORAGE_FAILED', hint: expect.stringContaining('invitation') });
  });
});

describe('what a client does not take', () => {
  it('a run that the policy refuses leaves the invitation good', async () => {
    const here = await world();
    const token = await here.token('ann');
    const refusing = () => ({
      policy: { accepts: () => ['too many rounds', 'no privacy'], mayLeave: () => true },
    });
    const error = await rejection(tinyClient(here, { owner: 'ann', token, change: refusing }));
    expect(error.code).toBe('POLICY_REFUSED');
    expect(error.message).toContain('too many rounds');
    expect(error.message).toContain('no privacy');
    expect(await runBoth(here, { token })).toBe(undisturbed);
  });

  it('a used token of somebody else, no token, half a token', async () => {
    const here = await world({ minOwners: 1 });
    const token = await here.token('ann');
    await tinyClient(here, { owner: 'ann', token });
    expect((await rejection(tinyClient(here, { owner: 'ann', token }))).code).toBe('JOIN_REFUSED');
    expect((await rejection(tinyClient(here, { owner: 'ann' }))).code).toBe('OPTION_INVALID');
    const half = token.slice(0, 30);
    const error = await rejection(tinyClient(here, { owner: 'ann', token: half }));
    expect(error.code).toBe('OPTION_INVALID');
    expect(error.message).not.toContain(half);
  });

  it('another operator than the one who invited, and a manifest that was changed', async () => {
    const [here, other] = [await world(), await world()];
    const token = await here.token('ann');
    const foreign = (await other.token('ann')).slice(-21);
    const otherOperator = token.slice(0, -21) + foreign;
    const error = await rejection(tinyClient(here, { owner: 'ann', token: otherOperator }));
    expect(error).toMatchObject({
      code: 'JOIN_REFUSED',
      message: expect.stringContaining('another operator'),
    });
    const changed: Network = {
      after: (response, _, route) =>
        route === 'POST peek'
          ? { ...response, body: replaced(response.body, /rounds\\":3/, 'rounds\\":9') }
          : undefined,
    };
    const tampered = await rejection(tinyClient(here, { owner: 'ann', token, network: changed }));
    expect(tampered).toMatchObject({ code: 'JOIN_REFUSED', message: expect.stringContaining('signature') });
  });

  it.each([
    ['params larger than the run’s can be', /"bytes":\d+/, '"bytes":99999999'],
    ['fields that the protocol does not have', /"retryAfterMs"/, '"__proto__":{},"retryAfterMs"'],
    ['a digest that is none', /"digest":"[0-9a-f]{64}"/, '"digest":"../../etc/passwd"'],
  ])('%s', async (_, pattern, instead) => {
    const here = await world({ minOwners: 1 });
    let lies = 0;
    const network: Network = {
      after: (response, _request, route) => {
        if (route !== 'GET task' || lies++ > 5) return undefined;
        return { ...response, body: replaced(response.body, pattern, instead) };
      },
    };
    const run = tinyClient(here, { owner: 'ann', token: await here.token('ann'), network });
    const outcome = await run.catch((error) => error);
    // A body that is no acceptable JSON counts as no answer and is asked for again; the others are refused.
    if (outcome instanceof HeadwaterError) expect(outcome.code).toBe('CONNECTION_FAILED');
    else expect(lies).toBeGreaterThan(5);
  });

  it('more steps than the signed manifest speaks of', async () => {
    const here = await world({ minOwners: 1 }, (works) => ({
      ...works,
      manifest: { ...works.manifest, recipe: { federation: { rounds: 3, localSteps: 1 } } },
    }));
    const error = await rejection(tinyClient(here, { owner: 'ann', token: await here.token('ann') }));
    expect(error).toMatchObject({ code: 'CONNECTION_FAILED', message: expect.stringContaining('2 steps') });
  });

  it('texts of the coordinator reach the terminal without control characters', async () => {
    const here = await world({ minOwners: 1 });
    const network: Network = {
      after: () => ({
        status: 403,
        headers: {},
        body: bytesOf(JSON.stringify({ error: { code: 'revoked', message: 'no\u001b[2Jway' } })),
      }),
    };
    const error = await rejection(
      tinyClient(here, { owner: 'ann', token: await here.token('ann'), network }),
    );
    expect(error.message).toBe('the coordinator refused: no [2Jway');
  });
});

describe('what leaves', () => {
  it('only figures that the policy allows', async () => {
    const here = await world({ minOwners: 1 });
    const change = () => ({ policy: { accepts: () => [], mayLeave: (name: string) => name !== 'loss' } });
    await tinyClient(here, { owner: 'ann', token: await here.token('ann'), change });
    const state = await here.coordinator.operator.state('demo');
    const told = Object.values(state!.evaluations).map(({ owners }) => owners.ann?.scores);
    expect(told).toHaveLength(6);
    expect(new Set(told.map((scores) => JSON.stringify(scores)))).toEqual(new Set(['{}']));
    const events = await here.coordinator.operator.events('demo', 0);
    const updates = events.flatMap(({ event }) => (event.type === 'update-received' ? [event.stats] : []));
    expect(updates.map(({ meanLoss, lastLoss }) => [meanLoss, lastLoss])).toEqual([
      [null, null],
      [null, null],
      [null, null],
    ]);
  });

  it('a failed training is told by its kind, not by its text; diverged training costs the round only', async () => {
    const here = await world({ quorum: 1 });
    let failures = 0;
    const trainer = tinyTrainer('ann');
    const change = () => ({
      openTrainer: async () => ({
        ...trainer,
        train: (...args: Parameters<typeof trainer.train>) => {
          if (failures++ > 0) return trainer.train(...args);
          throw new HeadwaterError('TRAINING_DIVERGED', 'NaN in /home/ann/secret.jsonl');
        },
      }),
    });
    await runBoth(here, { change });
    const events = await here.coordinator.operator.events('demo', 0);
    const failed = events.flatMap(({ event }) => (event.type === 'client-failed' ? [event.reason] : []));
    expect(failed).toEqual(['TRAINING_DIVERGED: Loss or gradient became NaN or infinite.']);
  });

  it('any other failure stops the client; started again, it does the same task', async () => {
    const here = await world();
    const token = await here.token('ann');
    const folder: ClientFolder = new Map();
    const change = () => ({
      openTrainer: async () => ({
        ...tinyTrainer('ann'),
        train: () => Promise.reject(new HeadwaterError('RUNTIME_FAILED', 'out of memory')),
      }),
    });
    const ben = tinyClient(here, { owner: 'ben', token: await here.token('ben') });
    const error = await rejection(tinyClient(here, { owner: 'ann', token, folder, change }));
    expect(error).toMatchObject({ code: 'RUNTIME_FAILED', message: 'out of memory' });
    await tinyClient(here, { owner: 'ann', token, folder });
    await ben;
    expect(here.published.at(-1)).toBe(undisturbed);
  });
});

async function* cut(body: AsyncIterable<Uint8Array>, bytes: number): AsyncGenerator<Uint8Array> {
  for await (const piece of body) {
    yield piece.subarray(0, bytes);
    throw new Error('reset');
  }
}

async function* flipped(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const piece of body) yield piece.map((byte, i) => (i === 200 ? byte ^ 1 : byte));
}

async function* replaced(
  body: AsyncIterable<Uint8Array>,
  pattern: RegExp,
  instead: string,
): AsyncGenerator<Uint8Array> {
  let text = '';
  for await (const piece of body) text += new TextDecoder().decode(piece);
  yield* bytesOf(text.replace(pattern, instead));
}

async function* bytesOf(text: string): AsyncGenerator<Uint8Array> {
  yield new TextEncoder().encode(text);
}

it('routes are named as the tests name them', () => {
  expect(routeOf({ method: 'PUT', path: '/v1/runs/a/uploads/x/chunks/0', headers: {} })).toBe('PUT chunks');
});
