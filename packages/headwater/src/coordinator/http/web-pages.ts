/**
 * The built pages of `packages/web` as files: every file that is there when the process starts gets a route, nothing else
 * can be asked for. Names with a hash never change what they hold. Large files may be there in Brotli's form alone. It knows no
 * page.
 */

import { createHash } from 'node:crypto';
import { createReadStream, existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { extname, join, sep } from 'node:path';
import { pipeline, type Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { createBrotliDecompress } from 'node:zlib';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';

export interface WebPages {
  /** What is served at `/`. */
  readonly index: 'index.html' | 'join.html';
  /** Default: where `npm run build:web` puts them. */
  readonly folder?: string | undefined;
}

const BUILT = fileURLToPath(new URL('../../../assets/web', import.meta.url));

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.mjs': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.json': 'application/json',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.wasm': 'application/wasm',
};

/** Best first. */
const ENCODINGS = [
  ['br', '.br'],
  ['gzip', '.gz'],
] as const;

/**
 * Scripts are files of this origin, WebAssembly may be compiled (the engine), nothing else may run or be embedded.
 * Headers of isolation let a page use threads.
 */
const HEADERS = {
  'content-security-policy': [
    "default-src 'none'",
    "script-src 'self' 'wasm-unsafe-eval'",
    "worker-src 'self'",
    "style-src 'self'",
    "img-src 'self' data: blob:",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; '),
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-embedder-policy': 'require-corp',
  'cross-origin-resource-policy': 'same-origin',
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
};

const UNBUILT = 'The pages are not built here: npm run build:web\n';

export function addWebPages(app: FastifyInstance, { index, folder = BUILT }: WebPages): void {
  const names = existsSync(join(folder, index)) ? filesIn(folder) : [];
  for (const name of new Set([...names, ...names.flatMap(unpackedName)])) {
    const send = senderOf(folder, name, names);
    app.get(`/${name}`, send);
    if (name === index) app.get('/', send);
  }
  if (names.length === 0)
    app.get('/', (_request, reply) => reply.code(404).type('text/plain; charset=utf-8').send(UNBUILT));
}

/** With `/` between folders; only types that a page needs. */
function filesIn(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && isServed(entry.name))
    .map(({ parentPath, name }) =>
      join(parentPath, name)
        .slice(folder.length + 1)
        .replaceAll(sep, '/'),
    )
    .sort();
}

function isServed(name: string): boolean {
  return Object.hasOwn(TYPES, extname(name)) || ENCODINGS.some(([, ending]) => name.endsWith(ending));
}

/** `x.wasm.br` may stand for `x.wasm` too. */
function unpackedName(name: string): string[] {
  return name.endsWith('.br') ? [name.slice(0, -'.br'.length)] : [];
}

type Send = (request: FastifyRequest, reply: FastifyReply) => FastifyReply;

function senderOf(folder: string, name: string, names: readonly string[]): Send {
  const known = new Set(names);
  const encodings = ENCODINGS.filter(([, ending]) => known.has(name + ending));
  const versioned = /^(assets|ort)\//.test(name);
  const etag = `W/"${versioned ? createHash('sha256').update(name).digest('hex').slice(0, 16) : digestOf(join(folder, known.has(name) ? name : `${name}.br`))}"`;
  return (request, reply) => {
    reply.headers({
      ...HEADERS,
      etag,
      vary: 'Accept-Encoding',
      'cache-control': versioned ? 'public, max-age=31536000, immutable' : 'no-cache',
    });
    if (request.headers['if-none-match'] === etag) return reply.code(304).send();
    const accepted = String(request.headers['accept-encoding'] ?? '').split(/\s*,\s*/);
    const [encoding, ending = ''] = encodings.find(([id]) => accepted.includes(id)) ?? [];
    if (encoding !== undefined) reply.header('content-encoding', encoding);
    reply.type(TYPES[extname(name)] ?? 'application/octet-stream');
    if (encoding === undefined && !known.has(name)) return reply.send(unpacked(join(folder, `${name}.br`)));
    const file = join(folder, name + ending);
    return reply.header('content-length', statSync(file).size).send(createReadStream(file));
  };
}

/** For the few that read no Brotli: browsers do, over HTTPS and on this machine. */
function unpacked(file: string): Readable {
  // A reader that goes away ends both; nobody is left to be told.
  return pipeline(createReadStream(file), createBrotliDecompress(), () => undefined);
}

function digestOf(file: string): string {
  return createHash('sha256').update(readFileSync(file)).digest('hex').slice(0, 16);
}
