import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  type ClientFolder,
  cut,
  flipped,
  mapStore,
  type Network,
  routeOf,
  runBoth,
  startWorld,
  tinyClient,
  undisturbedResult,
  type World,
} from '../../test/support/client-world.ts';
import { rejection } from '../../test/support/outcome.ts';
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

let undisturbed: string;
beforeAll(async () => {
  undisturbed = await undisturbedResult();
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

it('routes are named as the tests name them', () => {
  expect(routeOf({ method: 'PUT', path: '/v1/runs/a/uploads/x/chunks/0', headers: {} })).toBe('PUT chunks');
});
