import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { HeadwaterError } from '../base/errors.ts';
import { readBody } from './body.ts';
import { httpTransport } from './http-transport-node.ts';

const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

async function serve(listener: RequestListener): Promise<string> {
  const server: Server = createServer(listener);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  closing.push(async () => {
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function transportTo(url: string) {
  const transport = httpTransport({ url });
  closing.unshift(() => transport.close());
  return transport.send;
}

const get = { method: 'GET', path: '/v1/x?a=1', headers: { 'x-test': 'yes' } } as const;

describe('HTTP transport', () => {
  it('sends method, path, headers and body as they are, also below a path of a proxy', async () => {
    const url = await serve(async (request, response) => {
      const body = Buffer.concat(await request.toArray()).toString();
      response.setHeader('etag', '"e"');
      response.end(`${request.method} ${request.url} ${request.headers['x-test']} ${body}`);
    });
    const send = transportTo(`${url}/headwater/`);
    const text = async (answer: Awaited<ReturnType<typeof send>>) =>
      new TextDecoder().decode(await readBody(answer.body, 1000));
    const answer = await send(get);
    expect([answer.status, answer.headers.etag]).toEqual([200, '"e"']);
    expect(await text(answer)).toBe('GET /headwater/v1/x?a=1 yes ');
    const post = { ...get, method: 'POST', body: new TextEncoder().encode('{}') } as const;
    expect(await text(await send(post))).toBe('POST /headwater/v1/x?a=1 yes {}');
  });

  it('asks for one thing after the other over one connection', async () => {
    const ports = new Set<number | undefined>();
    const url = await serve(async (request, response) => {
      ports.add(request.socket.remotePort);
      await request.toArray();
      response.end('some bytes');
    });
    const send = transportTo(url);
    for (let i = 0; i < 20; i++) {
      const { body } = await send(i % 2 === 0 ? get : { ...get, method: 'POST', body: new Uint8Array(9) });
      await readBody(body, 100);
    }
    expect(ports.size).toBe(1);
  });

  it('follows no redirect', async () => {
    const send = transportTo(
      await serve((_, response) => response.writeHead(302, { location: 'http://other/' }).end()),
    );
    expect((await send(get)).status).toBe(302);
  });

  it('nobody there, and a connection that is cut, are failures that may pass', async () => {
    const gone = await transportTo('http://127.0.0.1:1')(get).catch((error) => error);
    expect(gone).not.toBeInstanceOf(HeadwaterError);
    expect(gone.message).toContain('nobody answers');
    const cut = transportTo(
      await serve((_, response) => response.writeHead(200).write('half', () => response.destroy())),
    );
    const { body } = await cut(get);
    await expect(readBody(body, 1000)).rejects.toThrow();
  });

  it('can be called off', async () => {
    const send = transportTo(await serve(() => undefined));
    const stop = new AbortController();
    const asked = send(get, stop.signal);
    stop.abort();
    await expect(asked).rejects.toThrow();
  });

  it.each([
    ['http://coordinator.example:8420', false],
    ['http://10.0.0.7:8420', false],
    ['http://127.0.0.1.example.com', false],
    ['http://localhost:8420', true],
    ['http://127.8.0.1', true],
    ['http://[::1]:8420', true],
    ['https://coordinator.example', true],
  ])('%s without --insecure: allowed is %s', async (url, allowed) => {
    const make = () => httpTransport({ url });
    if (allowed) await make().close();
    else expect(make).toThrow(expect.objectContaining({ code: 'OPTION_INVALID' }));
  });
});
