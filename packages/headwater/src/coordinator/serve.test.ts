import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { request } from 'undici';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { rejection } from '../../test/support/outcome.ts';
import { adapterDigest, fileIn, type SmallRun, smallRun } from '../../test/support/small-run.ts';
import { type JoinEvent, joinRun } from '../client/join-node.ts';
import { leaveRun } from '../client/leave-node.ts';
import { resolveRecipe } from '../jobs/resolve-recipe.ts';
import { resultsOf } from '../runs/results.ts';
import { run } from '../simulation/run.ts';
import { findAdmin } from './admin-token.ts';
import { type ServeOptions, type Server, startServer } from './serve.ts';

const OWNERS = ['ann', 'ben', 'cid'];
const nothing = { info: () => undefined, warn: () => undefined };

let folder: string;
let small: SmallRun;
const servers: Server[] = [];
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'headwater-serve-'));
  small = smallRun({ deployment: { owners: OWNERS }, baselines: { localOnly: false, centralised: false } });
});
afterEach(async () => {
  for (const server of servers.splice(0)) await server.close(0);
});
afterAll(() => {
  small.remove();
  rmSync(folder, { recursive: true, force: true });
});

async function serve(name: string, change: Partial<ServeOptions> = {}): Promise<Server> {
  const server = await startServer({
    store: join(folder, name),
    host: '127.0.0.1',
    port: 0,
    adminHost: '127.0.0.1',
    adminPort: 0,
    insecure: false,
    corsOrigins: [],
    log: nothing,
    ...change,
  });
  servers.push(server);
  return server;
}

/** Rows of one owner, as the owner would have them. */
function dataOf(owner: string): {
  readonly train: { files: string };
  readonly validation: { files: string };
  readonly test: { files: string };
} {
  const own = (name: string) => {
    const [head, ...rows] = fileIn(small.root, `data/${name}.csv`).trim().split('\n');
    const path = join(folder, `${owner}-${name}.csv`);
    writeFileSync(path, [head, ...rows.filter((row) => row.startsWith(`${owner},`)), ''].join('\n'));
    return { files: path };
  };
  return { train: own('train'), validation: own('test'), test: own('test') };
}

describe('serve and join', () => {
  it('end with the adapter of the simulation, bit for bit, also when the coordinator was stopped in between', async () => {
    const simulated = await run(small.recipe, { out: small.out('simulated'), overrides: ['workers=1'] });
    const { recipe } = await resolveRecipe(small.recipe);
    let server = await serve('whole');
    await server.operator.createRun('small', JSON.parse(JSON.stringify(recipe)));
    const { port } = new URL(server.url);
    const joined = OWNERS.map(async (owner) => {
      const { text: token } = await server.operator.createToken({
        run: 'small',
        owner,
        uses: 1,
        ttlMs: 60_000,
      });
      const onEvent = async (event: JoinEvent) => {
        if (owner !== 'ann' || event.type !== 'task' || event.task.id !== 'train/2/ann') return;
        await servers.pop()?.close(0);
        server = await serve('whole', { port: Number(port) });
      };
      return joinRun({
        url: server.url,
        token,
        data: dataOf(owner),
        state: join(folder, `state-${owner}`),
        onEvent,
      });
    });
    const outcomes = await Promise.all(joined);
    expect(outcomes.map(({ status }) => status)).toEqual(['finished', 'finished', 'finished']);
    const result = join(server.resultsFolder, 'small');
    // Closing waits for the report.
    await servers.pop()?.close(0);
    server = await serve('whole');
    expect(await server.operator.runs()).toMatchObject([{ status: 'finished' }]);
    expect(adapterDigest(result)).toBe(adapterDigest(simulated.folder));
    expect(fileIn(result, 'adapter/adapter_config.json')).toBe(
      fileIn(simulated.folder, 'adapter/adapter_config.json'),
    );
    const events = (await server.operator.events('small', 0)).map(({ event }) => event);
    expect(events.filter(({ type }) => type === 'resumed')).toHaveLength(1);
    const results = resultsOf(events);
    expect(results).toMatchObject({ params: simulated.results.params, bytes: simulated.results.bytes });
    expect(results.federated.test?.pooled.loss).toBeTypeOf('number');
    expect(readFileSync(join(result, 'report.html'), 'utf8')).toContain('small');
  }, 120_000);
});

describe('an owner who leaves', () => {
  it('is asked nothing any more, and comes back with the command that it joined with', async () => {
    const { recipe } = await resolveRecipe(small.recipe);
    const server = await serve('leave');
    await server.operator.createRun('small', JSON.parse(JSON.stringify(recipe)));
    const options = async (owner: string) => {
      const { text } = await server.operator.createToken({ run: 'small', owner, uses: 1, ttlMs: 60_000 });
      return { url: server.url, token: text, state: join(folder, `leave-${owner}`) };
    };
    const ann = await options('ann');
    expect(await rejection(leaveRun(ann))).toMatchObject({ code: 'OPTION_INVALID' });
    const stop = new AbortController();
    const stopped = rejection(joinRun({ ...ann, data: dataOf('ann'), signal: stop.signal }));
    const waiting = async () => (await server.operator.runs())[0]?.owners;
    await vi.waitFor(async () => expect(await waiting()).toBe(1), { timeout: 60_000 });
    stop.abort();
    expect(await stopped).toMatchObject({ code: 'INTERRUPTED' });
    expect(await leaveRun(ann)).toEqual({ run: 'small', owner: 'ann' });
    expect(await waiting()).toBe(0);
    const others = await Promise.all(['ben', 'cid'].map(options));
    const outcomes = await Promise.all(
      [ann, ...others].map((at, i) => joinRun({ ...at, data: dataOf(OWNERS[i]!) })),
    );
    expect(outcomes.map(({ status }) => status)).toEqual(['finished', 'finished', 'finished']);
  }, 120_000);
});

describe('a coordinator process', () => {
  it('refuses plain HTTP to other machines unless it is told to', async () => {
    await expect(serve('open', { host: '0.0.0.0' })).rejects.toMatchObject({ code: 'OPTION_INVALID' });
    await expect(serve('open', { adminHost: '0.0.0.0' })).rejects.toMatchObject({ code: 'OPTION_INVALID' });
    await expect(serve('open', { tlsCert: 'x.pem' })).rejects.toMatchObject({ code: 'OPTION_INVALID' });
    expect((await serve('open', { host: '0.0.0.0', insecure: true })).url).toMatch(
      /^http:\/\/0\.0\.0\.0:\d+$/,
    );
  });

  it('refuses a run of chats with a model that has no chat template, before anybody joins', async () => {
    const schema = { kind: 'prompt-completion', prompt: '{prompt}', completion: '{answer}', chat: true };
    const { recipe } = await resolveRecipe(small.recipe, {
      overrides: [`data.schema=${JSON.stringify(schema)}`],
    });
    const { operator } = await serve('chats');
    await expect(operator.createRun('small', JSON.parse(JSON.stringify(recipe)))).rejects.toMatchObject({
      code: 'OPTION_INVALID',
      message: expect.stringContaining('no chat template'),
    });
    expect(await operator.runs()).toEqual([]);
  });

  it('one process serves a folder', async () => {
    await serve('one');
    await expect(serve('one')).rejects.toMatchObject({ code: 'RUN_LOCKED' });
  });

  it('keeps the admin token to its user, and answers nobody without it', async () => {
    const { adminUrl, url } = await serve('admin');
    const { token, url: found } = await findAdmin(join(folder, 'admin'));
    expect(found).toBe(adminUrl);
    expect(statSync(join(folder, 'admin', 'admin.token')).mode & 0o777).toBe(0o600);
    expect(statSync(join(folder, 'admin')).mode & 0o777).toBe(0o700);
    // The operator's key, also in a folder that was there.
    for (const name of ['store.sqlite', 'blobs'])
      expect(statSync(join(folder, 'admin', name)).mode & 0o077).toBe(0);
    const get = (path: string, authorization?: string) =>
      request(adminUrl + path, { headers: authorization === undefined ? {} : { authorization } });
    for (const wrong of [undefined, 'Bearer x', `Bearer ${token}x`, `Basic ${token}`])
      for (const path of ['/admin/runs', '/metrics', '/admin/nothing'])
        expect((await get(path, wrong)).statusCode).toBe(401);
    expect(await (await get('/admin/runs', `Bearer ${token}`)).body.json()).toEqual({ runs: [] });
    expect(await (await get('/metrics', `Bearer ${token}`)).body.text()).toContain(
      'nodejs_eventloop_lag_seconds',
    );
    expect((await get('/admin/runs/nope/state', `Bearer ${token}`)).statusCode).toBe(404);
    expect((await get('/admin/runs/nope/result/..%2f..%2fadmin.token', `Bearer ${token}`)).statusCode).toBe(
      404,
    );
    expect(
      (await request(`${url}/admin/runs`, { headers: { authorization: `Bearer ${token}` } })).statusCode,
    ).toBe(404);
  });

  it('steers runs over the admin API and sends their events as they come', async () => {
    const { adminUrl } = await serve('steer');
    const { token } = await findAdmin(join(folder, 'steer'));
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
    const post = async (path: string, body: object = {}) => {
      const answer = await request(`${adminUrl}/admin${path}`, {
        method: 'POST',
        headers,
        body: JSON.stringify(body),
      });
      return { status: answer.statusCode, json: (await answer.body.json()) as Record<string, unknown> };
    };
    const { recipe } = await resolveRecipe(small.recipe);
    expect((await post('/runs', { run: 'small', recipe })).status).toBe(201);
    expect((await post('/runs', { run: 'small', recipe: { ...recipe, seed: 4 } })).status).toBe(409);
    expect((await post('/runs', { run: 'bad', recipe: { name: 'bad' } })).json.error).toMatchObject({
      code: 'RECIPE_INVALID',
    });
    expect((await post('/runs/small/tokens', { owner: 'ann' })).json).toMatchObject({
      text: expect.stringMatching(/^hw1_/),
    });
    expect((await post('/runs/small/tokens', { owner: '../x' })).status).toBe(400);
    expect((await post('/runs/small/pause')).status).toBe(200);
    const status = async () => (await request(`${adminUrl}/admin/runs/small`, { headers })).body.json();
    expect(await status()).toMatchObject({ status: 'paused' });
    await post('/runs/small/resume');
    expect(await status()).toMatchObject({ status: 'waiting' });
    const controller = new AbortController();
    const events = await request(`${adminUrl}/admin/runs/small/events`, {
      headers: { ...headers, accept: 'text/event-stream' },
      signal: controller.signal,
    });
    expect(events.headers['content-type']).toContain('text/event-stream');
    controller.abort();
    await post('/runs/small/cancel', { reason: 'no more money' });
    expect(await status()).toMatchObject({ status: 'cancelled', reason: 'no more money' });
  });
});
