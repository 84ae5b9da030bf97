import { connect } from 'node:net';
import { gunzipSync, gzipSync, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import type { FastifyInstance } from 'fastify';
import { request } from 'undici';
import { afterEach, describe, expect, it } from 'vitest';
import { createWorld, RUN, type TestClient, type World } from '../../../test/support/coordinator-world.ts';
import { settled } from '../../../test/support/fake-time.ts';
import { digestBytes } from '../../base/canonical.ts';
import { systemClock } from '../../base/clock.ts';
import { LIMITS } from '../../federation/wire/messages.ts';
import type { IncomingRequest } from '../ports.ts';
import { createClientApi } from './client-api.ts';

const apps: FastifyInstance[] = [];
afterEach(async () => {
  for (const app of apps.splice(0)) await app.close();
});

/** A world whose requests go over HTTP. */
async function served(
  corsOrigins: readonly string[] = [],
): Promise<{ readonly world: World; readonly url: string }> {
  const world = await createWorld();
  const app = createClientApi((incoming) => world.coordinator.handle(incoming), {
    clock: systemClock,
    corsOrigins,
    ready: async () => true,
  });
  apps.push(app);
  const url = await app.listen({ host: '127.0.0.1', port: 0 });
  return { world, url };
}

/** The signed request of a client, as HTTP. */
function overHttp(client: TestClient, world: World, url: string) {
  return async (
    method: 'GET' | 'POST' | 'PUT',
    path: string,
    sent: Uint8Array | undefined,
    options: Parameters<TestClient['call']>[2] = {},
  ) => {
    let signed: IncomingRequest | undefined;
    const { send } = world;
    Object.assign(world, {
      send: async (incoming: IncomingRequest) => {
        signed = incoming;
        return { status: 0, headers: {}, bytes: new Uint8Array(), json: undefined };
      },
    });
    await client.call(method, path, options);
    Object.assign(world, { send });
    const headers = Object.fromEntries(
      Object.entries(signed!.headers).filter(([, value]) => value !== undefined),
    ) as Record<string, string>;
    const answer = await request(url + path, {
      method,
      headers,
      ...(sent === undefined ? {} : { body: sent }),
    });
    const bytes = new Uint8Array(await answer.body.arrayBuffer());
    return {
      status: answer.statusCode,
      headers: answer.headers,
      bytes,
      json: () => JSON.parse(Buffer.from(bytes).toString()),
    };
  };
}

async function uploading() {
  const { world, url } = await served();
  const ann = await world.client('ann');
  await world.client('ben');
  await settled();
  const { task } = await ann.task();
  const update = new Uint8Array(60_000).fill(3);
  const digest = digestBytes(update);
  await ann.call('POST', `/v1/runs/${RUN}/uploads`, {
    body: { digest, bytes: update.byteLength, taskId: task!.id },
  });
  const put = overHttp(ann, world, url);
  const path = `/v1/runs/${RUN}/uploads/${digest}/chunks/0`;
  return {
    world,
    url,
    ann,
    update,
    put: (sent: Uint8Array, encoding?: string) =>
      put('PUT', path, sent, {
        bytes: update,
        headers: encoding === undefined ? {} : { 'content-encoding': encoding },
      }),
  };
}

describe('client API over HTTP', () => {
  it('publishes its description and how it feels, with headers that browsers need', async () => {
    const { url } = await served(['https://app.example']);
    const document = await request(`${url}/v1/openapi.json`);
    expect(await document.body.json()).toMatchObject({
      openapi: '3.1.0',
      paths: { '/v1/join': { post: { operationId: 'join' } } },
    });
    expect(document.headers).toMatchObject({ 'x-content-type-options': 'nosniff' });
    expect((await request(`${url}/healthz`)).statusCode).toBe(200);
    expect((await request(`${url}/readyz`)).statusCode).toBe(200);
    const preflight = (origin: string) =>
      request(`${url}/v1/join`, { method: 'OPTIONS', headers: { origin } });
    expect((await preflight('https://app.example')).headers['access-control-allow-origin']).toBe(
      'https://app.example',
    );
    expect((await preflight('https://evil.example')).headers['access-control-allow-origin']).toBeUndefined();
  });

  it('answers everything that is wrong in the form of the protocol', async () => {
    const { url } = await served();
    for (const path of ['/nothing', '/v1/nothing', '/v1/runs/%zz/task', '/v1/runs/demo/task']) {
      const answer = await request(url + path);
      expect([path, answer.statusCode >= 400 && answer.statusCode < 500]).toEqual([path, true]);
      expect(await answer.body.json()).toMatchObject({
        error: { code: expect.any(String), message: expect.any(String) },
      });
    }
  });

  it('takes chunks as they are, and gzip and zstd', async () => {
    const { put, update } = await uploading();
    expect((await put(update)).status).toBe(200);
    expect((await put(gzipSync(update), 'gzip')).status).toBe(200);
    expect((await put(zstdCompressSync(update), 'zstd')).status).toBe(200);
  });

  it('refuses bombs, broken and unknown encodings, and goes on', async () => {
    const { put, update, world } = await uploading();
    const bomb = new Uint8Array(2 * LIMITS.chunkBytes);
    for (const [sent, encoding] of [
      [gzipSync(bomb), 'gzip'],
      [zstdCompressSync(bomb), 'zstd'],
    ] as const)
      expect([encoding, 413, 422]).toContain((await put(sent, encoding)).status);
    expect((await put(gzipSync(gzipSync(update)), 'gzip')).status).toBe(422);
    expect((await put(gzipSync(update).subarray(0, 40), 'gzip')).status).toBe(422);
    expect((await put(new Uint8Array(100).fill(7), 'zstd')).status).toBe(422);
    expect((await put(update, 'br')).json()).toMatchObject({ error: { code: 'encoding-refused' } });
    expect((await put(new Uint8Array(LIMITS.chunkBytes + 1))).status).toBe(413);
    expect(await world.blobs.list()).toHaveLength(1);
    expect((await put(update)).status).toBe(200);
  });

  it('a Content-Length that lies is a refusal, not a crash', async () => {
    const { url, world } = await served();
    const { port } = new URL(url);
    for (const [length, body] of [
      ['10', 'x'],
      ['-1', 'x'],
      ['99999999999', 'x'],
      ['1e3', 'x'],
    ] as const)
      await new Promise<void>((resolve) => {
        const socket = connect(Number(port), '127.0.0.1', () => {
          socket.write(`POST /v1/join HTTP/1.1\r\nhost: x\r\ncontent-length: ${length}\r\n\r\n${body}`);
          socket.end();
        });
        socket.on('close', () => resolve()).on('error', () => resolve());
        socket.resume();
      });
    expect((await request(`${url}/healthz`)).statusCode).toBe(200);
    expect(await world.store.records.list('clients')).toEqual([]);
  });

  it('sends blobs whole, in ranges, and compressed for who asks', async () => {
    const { world, url, ann } = await uploading();
    const { task } = await ann.task();
    const { params } = task!;
    const get = overHttp(ann, world, url);
    const path = `/v1/runs/${RUN}/blobs/${params.digest}`;
    const whole = await get('GET', path, undefined);
    expect(digestBytes(whole.bytes)).toBe(params.digest);
    expect(whole.headers['content-length']).toBe(String(params.bytes));
    const range = await get('GET', path, undefined, {
      headers: { range: 'bytes=4-9', 'accept-encoding': 'gzip' },
    });
    expect([range.status, range.bytes.byteLength, range.headers['content-encoding']]).toEqual([
      206,
      6,
      undefined,
    ]);
    const gzip = await get('GET', path, undefined, { headers: { 'accept-encoding': 'br, gzip' } });
    expect(digestBytes(gunzipSync(gzip.bytes))).toBe(params.digest);
    const zstd = await get('GET', path, undefined, { headers: { 'accept-encoding': 'gzip, zstd' } });
    expect(digestBytes(zstdDecompressSync(zstd.bytes))).toBe(params.digest);
    expect(zstd.headers.etag).not.toBe(whole.headers.etag);
    const known = await get('GET', path, undefined, {
      headers: { 'if-none-match': String(whole.headers.etag) },
    });
    expect([known.status, known.bytes.byteLength]).toEqual([304, 0]);
  });

  it('who hangs up is not waited for', async () => {
    let arrived = () => {};
    const waiting = new Promise<void>((resolve) => {
      arrived = resolve;
    });
    let noticed: Promise<unknown> = Promise.resolve();
    const handle = (incoming: IncomingRequest) => {
      noticed = new Promise((resolve) => incoming.signal.addEventListener('abort', resolve));
      arrived();
      return new Promise<never>(() => undefined);
    };
    const app = createClientApi(handle, { clock: systemClock, corsOrigins: [], ready: async () => true });
    apps.push(app);
    const url = await app.listen({ host: '127.0.0.1', port: 0 });
    const controller = new AbortController();
    const poll = request(`${url}/v1/runs/${RUN}/task?wait=30`, { signal: controller.signal });
    await waiting;
    controller.abort();
    await expect(poll).rejects.toThrow();
    await noticed;
  });
});
