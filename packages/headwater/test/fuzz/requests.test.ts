/**
 * Whole requests against a coordinator at work: of strangers, and of a joined client with a key. No answer is an internal
 * error, nothing of it is stored or logged, and the run of the others ends with the bits that it would have had.
 */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { digestBytes } from '../../src/base/canonical.ts';
import type { IncomingRequest } from '../../src/coordinator/ports.ts';
import {
  type Answer,
  bodyOf,
  createWorld,
  playToTheEnd,
  RUN,
  type SendOptions,
  type TestClient,
  type World,
} from '../support/coordinator-world.ts';
import { settled } from '../support/fake-time.ts';
import { expectUnpolluted, mutatedBytes, PARAMETERS } from './support.ts';

const UNLIMITED = { requestBurst: 1e9, failedJoinBurst: 1e9 };
const latin1 = (bytes: Uint8Array) => Buffer.from(bytes).toString('latin1');

/** Ann and Ben at work, and what they sent; Eve has joined if `with eve`. */
async function worldAtWork(more: readonly string[] = []) {
  const world = await createWorld({ minOwners: 2 + more.length, quorum: 2 }, { limits: UNLIMITED });
  const sent: Captured[] = [];
  const { send } = world;
  Object.assign(world, {
    async send(request: IncomingRequest) {
      const pieces: Uint8Array[] = [];
      for await (const piece of request.body) pieces.push(piece);
      const bytes = new Uint8Array(Buffer.concat(pieces));
      sent.push({ ...request, bytes });
      return send({ ...request, body: bodyOf(bytes) });
    },
  });
  const clients: TestClient[] = [];
  for (const owner of ['ann', 'ben', ...more]) clients.push(await world.client(owner));
  await settled();
  return { world, send, sent, clients };
}

type Captured = Pick<IncomingRequest, 'method' | 'path' | 'headers'> & { readonly bytes: Uint8Array };

function expectHandled({ status, json }: Answer): void {
  expect(status === 500 || json?.error?.code === 'internal').toBe(false);
  if (status >= 400) expect(json.error.message.length).toBeLessThan(5000);
}

async function stored(world: World): Promise<string> {
  const collections = ['runs', 'tokens', 'clients', 'owners', 'enrolments'];
  const records = await Promise.all(collections.map((name) => world.store.records.list(name)));
  const events = await world.coordinator.operator.events(RUN, 0);
  const uploads = await world.blobs.uploads.list();
  return JSON.stringify([records, events.length, await world.blobs.list(), uploads.map(({ key }) => key)]);
}

/** One of the captured requests with its method, path, headers or body changed. */
function bent(sent: readonly Captured[]): fc.Arbitrary<Captured> {
  const text = (original: string) =>
    fc.oneof(mutatedBytes([Buffer.from(original, 'latin1')]).map(latin1), fc.string(), fc.constant(''));
  return fc.constantFrom(...sent).chain((request) => {
    const names = [
      ...Object.keys(request.headers),
      'content-encoding',
      'content-length',
      'range',
      'if-range',
    ];
    const header = fc.constantFrom(...names).chain((name) =>
      text(request.headers[name] ?? 'x').map((value) => ({
        headers: { ...request.headers, [name]: value },
      })),
    );
    const part: fc.Arbitrary<Partial<Captured>> = fc.oneof(
      header,
      text(request.path).map((path) => ({ path })),
      fc.constantFrom('GET', 'POST', 'PUT', 'DELETE', 'HEAD', 'get', '').map((method) => ({ method })),
      fc.oneof(mutatedBytes([request.bytes]), fc.uint8Array()).map((bytes) => ({ bytes })),
    );
    return fc
      .array(part, { minLength: 1, maxLength: 3 })
      .map((parts) => Object.assign({}, request, ...parts) as Captured);
  });
}

const honest = await (async () => {
  const { world, clients } = await worldAtWork();
  await playToTheEnd(world, clients);
  return world.published[0]!;
})();

describe('requests of strangers', () => {
  it('2,000 bent requests are refused, nothing is stored, and the run ends with the same bits', async () => {
    const { world, send, sent, clients } = await worldAtWork();
    for (const client of clients) await client.task();
    await clients[0]!.train((await clients[0]!.task()).task!);
    const before = await stored(world);
    await fc.assert(
      fc.asyncProperty(bent([...sent]), async ({ bytes, ...request }) => {
        expectHandled(await send({ ...request, body: bodyOf(bytes) }));
      }),
      { ...PARAMETERS, numRuns: 2000 },
    );
    expect(await stored(world)).toBe(before);
    expectUnpolluted();
    await playToTheEnd(world, clients);
    expect(world.published).toEqual([honest]);
  });

  it('a body that breaks off or never ends is no trouble', async () => {
    const { world, send, sent, clients } = await worldAtWork();
    async function* broken(): AsyncGenerator<Uint8Array> {
      yield Uint8Array.of(0x7b);
      throw new Error('the connection was reset');
    }
    async function* endless(): AsyncGenerator<Uint8Array> {
      for (;;) yield new Uint8Array(65_536);
    }
    for (const request of [...sent])
      for (const body of [broken(), endless()]) {
        const answer = await send({ ...request, body }).catch(() => undefined);
        if (answer !== undefined) expect(answer.status).toBeGreaterThanOrEqual(400);
      }
    await playToTheEnd(world, clients);
    expect(world.published).toEqual([honest]);
  });
});

describe('requests of another version', () => {
  it('are told which protocol is spoken here', async () => {
    const { send } = await worldAtWork();
    const request = {
      method: 'POST',
      headers: {},
      remoteAddress: '192.0.2.1',
      signal: new AbortController().signal,
    };
    const answer = await send({ ...request, path: '/v2/join', body: bodyOf(new Uint8Array()) });
    expect(answer.json.error).toMatchObject({
      code: 'not-found',
      message: 'this coordinator speaks protocol 1, not 2',
      hint: expect.stringMatching(/same protocol/),
    });
  });
});

describe('requests of a joined client that means harm', () => {
  const anything = fc.oneof(fc.jsonValue({ maxDepth: 3 }), fc.constantFrom(null, [], {}, '__proto__'));
  const hostile = fc.oneof(
    anything,
    fc.constantFrom(-1, 0, 1, 2, 1e9, 1.5, 'a'.repeat(64), '../x', `train/1/ann`, `train/1/eve`),
  );
  const digest = digestBytes(new Uint8Array(1));
  const good = {
    uploads: { digest, bytes: 100, taskId: 'train/1/eve' },
    updates: {
      round: 1,
      base: digest,
      baseModel: digest,
      update: { digest, bytes: 100 },
      stats: { steps: 1, numExamples: 1, numTokens: 1, numTargets: 1, meanLoss: 1, lastLoss: 1 },
    },
    evaluations: {
      evaluation: 'test/base',
      params: digest,
      result: { numExamples: 1, numTargets: 1, scores: { loss: 1 } },
    },
    failures: { round: 1, reason: 'no' },
    enrolment: { numExamples: 1e9, numTokens: 1e12, heldOut: { validation: 1e12, test: 0 }, lostState: true },
  };
  type Route = keyof typeof good;
  const post = fc.constantFrom(...(Object.keys(good) as Route[])).chain((route) => {
    const changes = fc.dictionary(fc.constantFrom(...Object.keys(good[route])), hostile, { maxKeys: 2 });
    return fc.tuple(
      fc.constant(`/v1/runs/${RUN}/${route}`),
      fc.oneof(
        changes.map((change) => ({ ...good[route], ...change })),
        anything,
      ),
    );
  });
  const chunk = fc
    .tuple(fc.oneof(fc.constant(digest), fc.string()), fc.oneof(fc.nat(3), fc.integer()), fc.uint8Array())
    .map(([of, index, bytes]) => [`/v1/runs/${RUN}/uploads/${of}/chunks/${index}`, bytes] as const);

  it('1,000 signed requests of any content do not touch the others', async () => {
    const { world, clients } = await worldAtWork(['eve']);
    const [ann, ben, eve] = clients as [TestClient, TestClient, TestClient];
    const tell = async (method: 'GET' | 'POST' | 'PUT', path: string, options: SendOptions) =>
      expectHandled(await eve.call(method, path, options));
    await fc.assert(
      fc.asyncProperty(fc.oneof(post, chunk), fc.string(), async ([path, body], tail) => {
        if (body instanceof Uint8Array) await tell('PUT', path, { bytes: body });
        else await tell('POST', path, { body });
        await tell('GET', `/v1/runs/${RUN}/blobs/${encodeURIComponent(tail)}`, {});
      }),
      { ...PARAMETERS, numRuns: 1000 },
    );
    expectUnpolluted();
    await world.coordinator.operator.revokeClient(
      (await world.coordinator.operator.clients(RUN)).find(({ owner }) => owner === 'eve')!.clientId,
    );
    await playToTheEnd(world, [ann, ben]);
    expect(world.published).toHaveLength(1);
    const state = await world.coordinator.operator.state(RUN);
    for (const { members } of state!.closed) expect(Object.keys(members)).toEqual(['ann', 'ben']);
  });
});

describe('logs', () => {
  it('hold no secret of anybody, and no line that a name could have broken', async () => {
    const { world, sent, clients } = await worldAtWork();
    const secret = await world.token('cid');
    await playToTheEnd(world, clients);
    const text = world.logged.join('\n');
    const key = (await world.store.records.get('operator', 'key'))!.value as { seed: string };
    const joins = sent
      .filter(({ path }) => path === '/v1/join')
      .map(({ bytes }) => JSON.parse(latin1(bytes)).token as string);
    expect(joins).toHaveLength(2);
    for (const hidden of [secret, key.seed, ...joins, ...sent.map(({ headers }) => headers.signature!)])
      expect(text).not.toContain(hidden);
    for (const line of world.logged)
      for (const broken of ['\r', '\n', '\u001b']) expect(line).not.toContain(broken);
  });
});
