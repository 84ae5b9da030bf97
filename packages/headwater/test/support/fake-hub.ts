/** A local HTTP server that plays the Hugging Face hub, with faults on request. For tests only. */

import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export const COMMIT_SHA = 'a1b2c3d4e5f60718293a4b5c6d7e8f9001122334';

export interface FakeRepository {
  readonly files: ReadonlyMap<string, Uint8Array>;
  /** Files whose listing gives a SHA-256, as the hub does for large files. */
  readonly lfs: ReadonlySet<string>;
}

export interface Faults {
  /** Answer every request with this status. */
  status?: number;
  /** Close the connection of a file after this many bytes, as often as given. */
  breakAfterBytes?: { file: string; bytes: number; times: number };
  /** Send other bytes than the listing promised. */
  corrupt?: string;
  ignoreRange?: boolean;
}

export interface FakeHub {
  readonly endpoint: string;
  readonly faults: Faults;
  /** `METHOD path range` of every request so far. */
  readonly requests: string[];
  /** The Authorization header of the last request. */
  authorization: string | undefined;
  close(): Promise<void>;
}

export async function startFakeHub(repositories: ReadonlyMap<string, FakeRepository>): Promise<FakeHub> {
  const faults: Faults = {};
  const requests: string[] = [];
  const server = createServer((request, response) => {
    requests.push(`${request.method} ${request.url} ${request.headers.range ?? ''}`.trim());
    hub.authorization = request.headers.authorization;
    send(answer(request, repositories, faults), response);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const hub: FakeHub = {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    faults,
    requests,
    authorization: undefined,
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
  return hub;
}

interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | number>>;
  readonly body: Uint8Array;
  /** Close the connection after this many bytes of the body. */
  readonly breakAfterBytes?: number;
}

function send(reply: Reply, response: ServerResponse): void {
  response.writeHead(reply.status, reply.headers);
  if (reply.breakAfterBytes === undefined) response.end(reply.body);
  else response.write(reply.body.subarray(0, reply.breakAfterBytes), () => response.destroy());
}

function answer(
  request: IncomingMessage,
  repositories: ReadonlyMap<string, FakeRepository>,
  faults: Faults,
): Reply {
  const { pathname } = new URL(request.url ?? '/', 'http://hub');
  if (faults.status !== undefined) return json(faults.status, { error: 'fault' });
  const [, api, name, rest = ''] = /^\/(api\/models\/)?([^/]+\/[^/]+)(?:\/(.*))?$/.exec(pathname) ?? [];
  const repository = repositories.get(name ?? '');
  if (repository === undefined) return json(404, { error: 'Repository not found' });
  if (api === undefined) return file(request, repository, rest, faults);
  if (rest === 'revision/main' || rest === `revision/${COMMIT_SHA}`)
    return json(200, { _id: 'x', id: name, sha: COMMIT_SHA, private: false, lastModified: '2025-01-01' });
  if (rest === `tree/${COMMIT_SHA}`) return json(200, listing(repository));
  return json(404, { error: 'Invalid rev id' });
}

function listing({ files, lfs }: FakeRepository) {
  return [...files].map(([path, bytes]) => ({
    type: 'file',
    path,
    size: bytes.byteLength,
    oid: gitSha1(bytes),
    ...(lfs.has(path) ? { lfs: { oid: sha256(bytes), size: bytes.byteLength, pointerSize: 130 } } : {}),
  }));
}

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function gitSha1(bytes: Uint8Array): string {
  return createHash('sha1').update(`blob ${bytes.byteLength}\0`).update(bytes).digest('hex');
}

function file(request: IncomingMessage, repository: FakeRepository, rest: string, faults: Faults): Reply {
  const path = rest.replace(`resolve/${COMMIT_SHA}/`, '');
  const original = repository.files.get(path);
  if (original === undefined) return json(404, { error: 'Entry not found' });
  const bytes = faults.corrupt === path ? original.map((byte) => byte ^ 1) : original;
  const headers = { etag: `"${gitSha1(bytes)}"` };
  const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '');
  // The client asks for the first byte alone to learn the size.
  const probe = range?.[2] === '0';
  const broken = probe ? {} : breakOnce(path, faults);
  if (range === null || (faults.ignoreRange && !probe))
    return {
      status: 200,
      headers: { ...headers, 'content-length': bytes.byteLength },
      body: bytes,
      ...broken,
    };
  const from = Number(range[1]);
  const to = range[2] === '' ? bytes.byteLength - 1 : Number(range[2]);
  const length = {
    'content-range': `bytes ${from}-${to}/${bytes.byteLength}`,
    'content-length': to + 1 - from,
  };
  return { status: 206, headers: { ...headers, ...length }, body: bytes.subarray(from, to + 1), ...broken };
}

function breakOnce(path: string, { breakAfterBytes: fault }: Faults): Pick<Reply, 'breakAfterBytes'> {
  if (fault === undefined || fault.file !== path || fault.times === 0) return {};
  fault.times--;
  return { breakAfterBytes: fault.bytes };
}

function json(status: number, body: unknown): Reply {
  const headers = { 'content-type': 'application/json' };
  return { status, headers, body: new TextEncoder().encode(JSON.stringify(body)) };
}
