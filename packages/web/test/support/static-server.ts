/** Files over HTTP with the headers that the coordinator sends: cross-origin isolation, a strict content policy, ranges. */

import { createReadStream } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join, normalize } from 'node:path';

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.mjs': 'text/javascript',
  '.css': 'text/css',
  '.json': 'application/json',
  '.wasm': 'application/wasm',
};

const ISOLATED = {
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-embedder-policy': 'require-corp',
};

const POLICY =
  "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; connect-src 'self'; style-src 'self'; img-src 'self' data:";

export interface StaticServerOptions {
  /** URL prefix → folder; the longest prefix wins. */
  readonly mounts: Readonly<Record<string, string>>;
  /** Without it there are no shared memory and no threads. Default: true. */
  readonly isolated?: boolean;
  /** What is sent instead of a file's bytes; behind them the connection breaks (`cut`) or nothing more comes (`hang`). */
  readonly alter?: (
    path: string,
    bytes: Uint8Array,
  ) => { readonly bytes: Uint8Array; readonly after: 'end' | 'cut' | 'hang' } | undefined;
}

export interface StaticServer {
  readonly url: string;
  /** `path bytes` of every answer, in order. */
  readonly served: { readonly path: string; readonly bytes: number; readonly status: number }[];
  close(): Promise<void>;
}

export async function startStaticServer(options: StaticServerOptions): Promise<StaticServer> {
  const served: StaticServer['served'] = [];
  const server = createServer((request, response) => {
    answer(request, response, options, served).catch((cause) => response.destroy(cause));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    served,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  { mounts, isolated = true, alter }: StaticServerOptions,
  served: StaticServer['served'],
): Promise<void> {
  const path = decodeURIComponent(new URL(request.url ?? '/', 'http://localhost').pathname);
  const file = fileOf(path, mounts);
  const info = file === undefined ? undefined : await stat(file).catch(() => undefined);
  if (file === undefined || !info?.isFile()) {
    served.push({ path, bytes: 0, status: 404 });
    response.writeHead(404).end();
    return;
  }
  const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0);
  const partial = from > 0 && from < info.size;
  const start = partial ? from : 0;
  served.push({ path, bytes: info.size - start, status: partial ? 206 : 200 });
  response.writeHead(partial ? 206 : 200, {
    'content-type': TYPES[extname(file)] ?? 'application/octet-stream',
    'content-length': info.size - start,
    'accept-ranges': 'bytes',
    'content-security-policy': POLICY,
    ...(isolated ? ISOLATED : {}),
    ...(partial ? { 'content-range': `bytes ${start}-${info.size - 1}/${info.size}` } : {}),
  });
  const altered = alter?.(path, (await readFile(file)).subarray(start));
  if (altered === undefined) createReadStream(file, { start }).pipe(response);
  else if (altered.after === 'end') response.end(altered.bytes);
  else response.write(altered.bytes, () => altered.after === 'cut' && response.destroy());
}

function fileOf(path: string, mounts: Readonly<Record<string, string>>): string | undefined {
  const prefix = Object.keys(mounts)
    .filter((candidate) => path.startsWith(candidate))
    .sort((a, b) => b.length - a.length)[0];
  if (prefix === undefined) return undefined;
  const rest = normalize(path.slice(prefix.length) || 'index.html');
  return rest.startsWith('..') ? undefined : join(mounts[prefix]!, rest);
}
