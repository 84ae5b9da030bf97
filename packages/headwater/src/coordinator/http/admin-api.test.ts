import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { brotliCompressSync, brotliDecompressSync } from 'node:zlib';
import type { FastifyInstance } from 'fastify';
import { request } from 'undici';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createClient, createWorld, RUN, type World } from '../../../test/support/coordinator-world.ts';
import { settled } from '../../../test/support/fake-time.ts';
import { systemTimers } from '../../base/clock.ts';
import { createMetrics } from '../metrics.ts';
import type { CoordinatorFact } from '../ports.ts';
import { createAdminApi } from './admin-api.ts';
import { createEventHub } from './event-stream.ts';

const TOKEN = 'the-admin-token';
const BEARER = { authorization: `Bearer ${TOKEN}` };
const PAGE = '<!doctype html><title>Headwater</title>';
const SCRIPT = 'console.log("a page")'.repeat(50);

let pages: string;
const apps: FastifyInstance[] = [];
beforeAll(() => {
  pages = mkdtempSync(join(tmpdir(), 'headwater-pages-'));
  mkdirSync(join(pages, 'assets'));
  writeFileSync(join(pages, 'index.html'), PAGE);
  writeFileSync(join(pages, 'assets', 'main-abc.js'), SCRIPT);
  writeFileSync(join(pages, 'assets', 'main-abc.js.br'), brotliCompressSync(SCRIPT));
  writeFileSync(join(pages, 'assets', 'engine-abc.wasm.br'), brotliCompressSync(SCRIPT));
  writeFileSync(join(pages, 'notes.txt'), 'not for pages');
});
afterEach(async () => {
  for (const app of apps.splice(0)) await app.close();
});
afterAll(() => rmSync(pages, { recursive: true, force: true }));

interface Served {
  readonly world: World;
  readonly url: string;
}

async function served(): Promise<Served> {
  const hub = createEventHub(systemTimers);
  const facts: CoordinatorFact[] = [];
  const world = await createWorld(
    {},
    {
      observe(fact) {
        facts.push(fact);
        hub.observe(fact);
      },
    },
  );
  const app = createAdminApi({
    token: TOKEN,
    operator: world.coordinator.operator,
    metrics: createMetrics(),
    hub,
    clock: world.time.clock,
    log: { info: () => undefined, warn: () => undefined },
    clientUrl: 'https://clients.example',
    resultsFolder: join(pages, 'results'),
    pagesFolder: pages,
  });
  apps.push(app);
  return { world, url: await app.listen({ host: '127.0.0.1', port: 0 }) };
}

type Headers = Record<string, string>;

async function call(url: string, path: string, headers: Headers = BEARER, method = 'GET', body?: unknown) {
  const answer = await request(url + path, {
    method: method as 'GET',
    headers: { ...headers, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await answer.body.text();
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
  const json: any = text.startsWith('{') ? JSON.parse(text) : undefined;
  return { status: answer.statusCode, headers: answer.headers, text, json };
}

async function signIn(url: string, headers: Headers = {}): Promise<Headers> {
  const { headers: got } = await call(url, '/admin/session', headers, 'POST', { token: TOKEN });
  return { cookie: String(got['set-cookie']).split(';')[0]! };
}

describe('signing in', () => {
  it('gives a cookie that scripts and other sites cannot use, for the token only, until signed out', async () => {
    const { url } = await served();
    const wrong = await call(url, '/admin/session', {}, 'POST', { token: 'guess' });
    expect([wrong.status, wrong.headers['set-cookie']]).toEqual([401, undefined]);
    const { headers } = await call(url, '/admin/session', {}, 'POST', { token: ` ${TOKEN}\n` });
    expect(headers['set-cookie']).toMatch(
      /^headwater-session=[\w-]{43}; Path=\/admin; HttpOnly; SameSite=Strict; Max-Age=\d+$/,
    );
    const cookie = await signIn(url);
    expect((await call(url, '/admin/runs', cookie)).status).toBe(200);
    expect((await call(url, '/admin/runs', {})).status).toBe(401);
    expect((await call(url, '/admin/runs', { cookie: 'headwater-session=' })).status).toBe(401);
    expect((await call(url, '/admin/session', cookie)).json).toEqual({ signedIn: true });
    await call(url, '/admin/session', cookie, 'DELETE');
    expect((await call(url, '/admin/runs', cookie)).status).toBe(401);
  });

  it('ends after twelve hours', async () => {
    const { url, world } = await served();
    const cookie = await signIn(url);
    await world.time.advance(11.9 * 3_600_000);
    expect((await call(url, '/admin/session', cookie)).json).toEqual({ signedIn: true });
    await world.time.advance(0.2 * 3_600_000);
    expect((await call(url, '/admin/session', cookie)).json).toEqual({ signedIn: false });
  });

  it('does not help a page of another site or port, which browsers name in their requests', async () => {
    const { url } = await served();
    const cookie = await signIn(url);
    const stop = (more: Headers) => call(url, `/admin/runs/${RUN}/pause`, { ...cookie, ...more }, 'POST');
    for (const site of ['cross-site', 'same-site'])
      expect((await stop({ 'sec-fetch-site': site })).status).toBe(403);
    for (const origin of ['http://127.0.0.1:1', 'https://evil.example', 'null'])
      expect((await stop({ origin })).status).toBe(403);
    const form = { ...cookie, 'content-type': 'text/plain' };
    const sent = await request(`${url}/admin/runs/${RUN}/pause`, {
      method: 'POST',
      headers: form,
      body: '{}',
    });
    expect(sent.statusCode).toBe(415);
    expect((await stop({ 'sec-fetch-site': 'same-origin', origin: url })).status).toBe(200);
    expect(
      (await call(url, '/admin/session', { 'sec-fetch-site': 'cross-site' }, 'POST', { token: TOKEN }))
        .status,
    ).toBe(403);
  });
});

describe('the pages', () => {
  it('are given to everybody, may run own scripts only, and change their names when they change', async () => {
    const { url } = await served();
    const page = await call(url, '/', {});
    expect(page.text).toBe(PAGE);
    expect(page.headers).toMatchObject({
      'cache-control': 'no-cache',
      'cross-origin-opener-policy': 'same-origin',
      'cross-origin-embedder-policy': 'require-corp',
      'x-content-type-options': 'nosniff',
    });
    expect(page.headers['content-security-policy']).toContain("script-src 'self' 'wasm-unsafe-eval';");
    expect(page.headers['content-security-policy']).not.toContain('unsafe-inline');
    const again = await call(url, '/', { 'if-none-match': String(page.headers.etag) });
    expect(again.status).toBe(304);
    const script = await call(url, '/assets/main-abc.js', {});
    expect([script.text, script.headers['cache-control']]).toEqual([
      SCRIPT,
      'public, max-age=31536000, immutable',
    ]);
  });

  it('come compressed to whoever can read that, and nothing else of the folder comes', async () => {
    const { url } = await served();
    const answer = await request(`${url}/assets/main-abc.js`, { headers: { 'accept-encoding': 'gzip, br' } });
    expect(answer.headers).toMatchObject({ 'content-encoding': 'br', vary: 'Accept-Encoding' });
    const bytes = Buffer.from(await answer.body.arrayBuffer());
    expect(brotliDecompressSync(bytes).toString()).toBe(SCRIPT);
    // There in this form alone: unpacked for whoever cannot.
    const plain = await call(url, '/assets/engine-abc.wasm', {});
    expect([plain.text, plain.headers['content-type'], plain.headers['content-encoding']]).toEqual([
      SCRIPT,
      'application/wasm',
      undefined,
    ]);
    for (const path of ['/notes.txt', '/assets/', '/assets/..%2fnotes.txt', '/../package.json'])
      expect((await call(url, path, {})).status).toBe(404);
  });
});

interface Told {
  readonly id: number;
  readonly event: string;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
  readonly data: any;
}

/** Server-sent events until `enough` says so. */
async function told(
  url: string,
  path: string,
  headers: Headers,
  enough: (all: Told[]) => boolean,
): Promise<Told[]> {
  const controller = new AbortController();
  const all: Told[] = [];
  const answer = await request(url + path, {
    headers: { ...BEARER, accept: 'text/event-stream', ...headers },
    signal: controller.signal,
  });
  let text = '';
  try {
    for await (const piece of answer.body) {
      text += String(piece);
      for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
        const [, id, event, data] = /^id: (\d+)\nevent: (\w+)\ndata: (.*)$/.exec(text.slice(0, end)) ?? [];
        text = text.slice(end + 2);
        if (id !== undefined) all.push({ id: Number(id), event: event!, data: JSON.parse(data!) });
      }
      if (enough(all)) break;
    }
  } finally {
    controller.abort();
    answer.body.on('error', () => undefined);
  }
  return all;
}

async function begin(world: World) {
  const ann = await world.client('ann');
  const ben = await world.client('ben');
  await settled();
  return { ann, ben };
}

describe('the view of a run', () => {
  it('comes as it changes, and only what is new after a lost connection', async () => {
    const { url, world } = await served();
    const path = `/admin/runs/${RUN}/view`;
    const [waiting] = await told(url, path, {}, (all) => all.length > 0);
    expect(waiting!.data).toMatchObject({
      summary: { run: RUN, status: 'waiting' },
      rounds: [],
      frame: null,
    });
    const { ann, ben } = await begin(world);
    const first = await told(url, path, {}, (all) => all.some(({ data }) => data.rounds.length > 0));
    expect(first.at(-1)!.data).toMatchObject({ rounds: [{ round: 1, phase: 'training', asked: 2 }] });
    const { task } = await ann.task();
    await world.time.advance(4000);
    await ann.train(task!);
    const from = first.at(-1)!.id;
    const [next] = await told(url, path, { 'last-event-id': String(from) }, (all) => all.length > 0);
    expect(next!.id).toBeGreaterThan(from);
    expect(next!.data).toMatchObject({
      frame: null,
      rounds: [{ round: 1, accepted: 1 }],
      owners: [{ owner: 'ann', accepted: 1, tokensPerSecond: expect.any(Number) }],
      updates: [{ owner: 'ann', accepted: true, tookMs: 4000 }],
    });
    await ben.train((await ben.task()).task!);
    await settled();
    const whole = (await call(url, path)).json;
    expect(whole).toMatchObject({ frame: { rounds: 2 }, totals: { closedRounds: 1, accepted: 2 } });
    expect((await call(url, `/admin/runs/${RUN}/updates?round=1`)).json.updates).toHaveLength(2);
    expect((await call(url, `/admin/runs/${RUN}/updates?owner=ann`)).json.updates).toHaveLength(1);
    expect((await call(url, `/admin/runs/${RUN}/updates`)).status).toBe(400);
  });

  it('is told anew to a page that knows more than there is', async () => {
    const { url, world } = await served();
    await begin(world);
    const all = await told(url, `/admin/runs/${RUN}/view?after=999`, {}, (found) => found.length > 1);
    expect(all.map(({ event }) => event)).toEqual(['restart', 'change']);
    expect(all[1]!.data.frame).not.toBeNull();
  });

  it('of a run that is not there is refused before it begins', async () => {
    const { url } = await served();
    const answer = await call(url, '/admin/runs/nope/view', { ...BEARER, accept: 'text/event-stream' });
    expect([answer.status, answer.json.error.code]).toEqual([404, 'RUN_NOT_FOUND']);
  });
});

describe('what pages read', () => {
  it('the journal comes page by page', async () => {
    const { url, world } = await served();
    await begin(world);
    const events = await world.coordinator.operator.events(RUN, 0);
    const first = (await call(url, `/admin/runs/${RUN}/journal?limit=1`)).json;
    expect(first).toMatchObject({
      entries: [{ seq: 1, event: { type: 'created' } }],
      more: events.length > 1,
    });
    const rest = (await call(url, `/admin/runs/${RUN}/journal?after=1`)).json;
    expect(rest).toMatchObject({ entries: events.slice(1).map(({ seq }) => ({ seq })), more: false });
    expect((await call(url, `/admin/runs/${RUN}/journal?limit=0`)).status).toBe(400);
  });

  it('clients, recipe, files and where clients connect', async () => {
    const { url, world } = await served();
    const ann = createClient(world, 'ann');
    await ann.join(await world.token('ann'));
    expect((await call(url, `/admin/runs/${RUN}/clients`)).json.clients).toMatchObject([
      { owner: 'ann', software: 'test', standing: 'waiting' },
    ]);
    expect((await call(url, `/admin/runs/${RUN}/recipe`)).json).toMatchObject({
      text: expect.stringContaining('seed: 5'),
      recipe: { seed: 5 },
    });
    expect((await call(url, '/admin/about')).json).toMatchObject({
      kind: 'coordinator',
      url: 'https://clients.example',
    });
    mkdirSync(join(pages, 'results', RUN), { recursive: true });
    writeFileSync(join(pages, 'results', RUN, 'report.html'), '<script>');
    expect((await call(url, `/admin/runs/${RUN}/result`)).json.files).toEqual([
      { path: 'report.html', bytes: 8 },
    ]);
    const report = await call(url, `/admin/runs/${RUN}/result/report.html`);
    expect(report.headers['content-disposition']).toMatch(/^attachment/);
    expect((await call(url, `/admin/runs/${RUN}/result/..%2f..%2fpackage.json`)).status).toBe(404);
  });

  it('every route is in the OpenAPI document', async () => {
    const { url } = await served();
    const { paths } = (await call(url, '/admin/openapi.json')).json;
    expect(paths['/admin/runs/{run}/view'].get.parameters).toMatchObject([
      { name: 'run' },
      { name: 'after' },
    ]);
    expect(paths['/admin/session'].post.security).toEqual([]);
    const app = apps.at(-1)!;
    for (const [path, methods] of Object.entries(paths))
      for (const method of Object.keys(methods as object))
        expect(
          app.hasRoute({
            url: path.replace('{file}', '*').replaceAll(/\{(\w+)\}/g, ':$1'),
            method: method.toUpperCase() as 'GET',
          }),
        ).toBe(true);
  });
});

describe('recipes', () => {
  it('mistakes come with their places, all together', async () => {
    const { url } = await served();
    const text = 'name: My Run\nmodel: x\nfederation:\n  method: { kind: fedavgg }\n  rounds: 0\n';
    const { mistakes } = (await call(url, '/admin/recipes/check', BEARER, 'POST', { text })).json;
    expect(mistakes).toContainEqual(expect.objectContaining({ path: ['federation', 'rounds'], line: 5 }));
    expect(mistakes).toContainEqual(
      expect.objectContaining({
        path: ['federation', 'method', 'kind'],
        line: 4,
        message: expect.stringContaining('fedavg'),
      }),
    );
    expect(mistakes).toContainEqual(
      expect.objectContaining({ path: ['training'], message: expect.stringContaining('is required') }),
    );
    const broken = (await call(url, '/admin/recipes/check', BEARER, 'POST', { text: 'a: [1' })).json;
    expect(broken.mistakes).toMatchObject([{ path: null, line: 1 }]);
    const refused = await call(url, '/admin/runs', BEARER, 'POST', { text });
    expect([refused.status, refused.json.error.code]).toEqual([400, 'RECIPE_INVALID']);
  });

  it('those that come with Headwater have no mistakes, and the schema knows every record', async () => {
    const { url } = await served();
    const { recipes, schema } = (await call(url, '/admin/recipes')).json;
    const quickstart = recipes.find(({ name }: { name: string }) => name === 'quickstart');
    const { text } = quickstart;
    expect((await call(url, '/admin/recipes/check', BEARER, 'POST', { text })).json).toEqual({
      mistakes: [],
    });
    expect(text).toMatch(/model: \/.*seed-lm-7m/);
    const { method, rounds } = schema.properties.federation.properties;
    expect(rounds).toMatchObject({ type: 'integer' });
    expect(method.oneOf.map(({ title }: { title: string }) => title)).toContain('fedprox');
    expect(schema.properties.evaluation.properties.tasks.items.oneOf.length).toBeGreaterThan(5);
  });
});
