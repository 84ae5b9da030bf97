/**
 * The client API over HTTP: Fastify takes connections, this file turns requests into those of the core and answers into
 * streams. It knows no route but hands everything on, and adds what browsers and operators of networks expect.
 */

import { Readable } from 'node:stream';
import { createGzip, createZstdCompress } from 'node:zlib';
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import type { Clock } from '../../base/clock.ts';
import { readPem } from '../../base/listening-node.ts';
import { openApiDocument } from '../../federation/wire/openapi.ts';
import { Refusal } from '../../federation/wire/refusals.ts';
import type { WireResponse } from '../../federation/wire/transport.ts';
import type { Coordinator, IncomingRequest } from '../ports.ts';
import { internal, nothing, refusalAnswer } from '../requests/answers.ts';
import { decodedBody, pacedBody } from './body.ts';
import { type TakeTurn, turns } from './turns.ts';
import { addWebPages } from './web-pages.ts';

export interface ClientApiOptions {
  readonly clock: Clock;
  /** PEM files; both or none. */
  readonly tlsCert?: string | undefined;
  readonly tlsKey?: string | undefined;
  /** Origins of web pages that may use the API. */
  readonly corsOrigins: readonly string[];
  /** Of the built web pages; default: those that come with Headwater. */
  readonly pagesFolder?: string | undefined;
  /** Whether this process can serve requests now. */
  readonly ready: () => Promise<boolean>;
}

const HEADERS_TIMEOUT_MS = 20_000;
/** A whole request with its body; slow bodies are given up earlier (see `http-body.ts`). */
const REQUEST_TIMEOUT_MS = 600_000;
const KEEP_ALIVE_MS = 75_000;
const MAX_HEADER_BYTES = 16 * 1024;
/** Answers up to this size are sent in one piece. */
const SMALL_BYTES = 2 ** 18;
/** Such bodies are not worth waiting for a turn. */
const SHORT_BYTES = 2 ** 14;
const BODIES_PER_TURN = 8;

/** Not listening yet. Throws STORAGE_FAILED when a certificate cannot be read. */
export function createClientApi(handle: Coordinator['handle'], options: ClientApiOptions): FastifyInstance {
  const app = Fastify({
    ...tlsOptions(options),
    logger: false,
    forceCloseConnections: 'idle',
    // Paths that cannot even be decoded.
    frameworkErrors: (_error: unknown, _request: FastifyRequest, reply: FastifyReply) =>
      reply.code(404).send(new Refusal('not-found', 'there is nothing at this path').body()),
    // The core checks paths itself, as they came.
    routerOptions: { ignoreTrailingSlash: false, caseSensitive: true, maxParamLength: 300 },
    keepAliveTimeout: KEEP_ALIVE_MS,
    requestTimeout: REQUEST_TIMEOUT_MS,
    http: { maxHeaderSize: MAX_HEADER_BYTES, headersTimeout: HEADERS_TIMEOUT_MS },
  } as Parameters<typeof Fastify>[0]) as unknown as FastifyInstance;
  app.removeAllContentTypeParsers();
  // Bodies are streams that the core reads when it knows who sends them.
  app.addContentTypeParser('*', (_request, _payload, done) => done(null));
  addHeaders(app, options);
  const document = JSON.stringify(openApiDocument());
  app.get('/v1/openapi.json', (_request, reply) => reply.type('application/json').send(document));
  app.get('/healthz', () => ({ status: 'alive' }));
  app.get('/readyz', async (_request, reply) => {
    const ready = await options.ready();
    return reply.code(ready ? 200 : 503).send({ status: ready ? 'ready' : 'not ready' });
  });
  addWebPages(app, { index: 'join.html', folder: options.pagesFolder });
  app.setErrorHandler((_error, _request, reply) => reply.code(500).send(internal().body()));
  const answering = { handle, clock: options.clock, takeTurn: turns(BODIES_PER_TURN) };
  app.setNotFoundHandler((request, reply) => answer(answering, request, reply));
  app.all('/v1/*', (request, reply) => answer(answering, request, reply));
  return app;
}

function tlsOptions({ tlsCert, tlsKey }: ClientApiOptions): object {
  if (tlsCert === undefined || tlsKey === undefined) return {};
  return {
    https: {
      cert: readPem(tlsCert),
      key: readPem(tlsKey),
      minVersion: 'TLSv1.2',
      maxHeaderSize: MAX_HEADER_BYTES,
    },
  };
}

const ALLOWED_HEADERS =
  'content-type, content-digest, content-encoding, signature, signature-input, range, if-range, if-none-match';
const EXPOSED_HEADERS = 'etag, content-range, accept-ranges, retry-after';

function addHeaders(app: FastifyInstance, { corsOrigins, tlsCert }: ClientApiOptions): void {
  const origins = new Set(corsOrigins);
  app.addHook('onRequest', async (request, reply) => {
    reply.headers({
      'x-content-type-options': 'nosniff',
      'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
      'referrer-policy': 'no-referrer',
      ...(tlsCert === undefined ? {} : { 'strict-transport-security': 'max-age=31536000' }),
    });
    const { origin } = request.headers;
    if (origin === undefined || !origins.has(origin)) return;
    reply.headers({
      'access-control-allow-origin': origin,
      'access-control-expose-headers': EXPOSED_HEADERS,
      vary: 'Origin',
    });
    if (request.method !== 'OPTIONS') return;
    reply.headers({
      'access-control-allow-methods': 'GET, POST, PUT',
      'access-control-allow-headers': ALLOWED_HEADERS,
      'access-control-max-age': '600',
    });
    return reply.code(204).send();
  });
}

interface Answering {
  readonly handle: Coordinator['handle'];
  readonly clock: Clock;
  /** Of answers with more than a few bytes. */
  readonly takeTurn: TakeTurn;
}

async function answer(
  { handle, clock, takeTurn }: Answering,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const controller = new AbortController();
  reply.raw.once('close', () => {
    // Whoever was answered need not be told to stop.
    if (!reply.raw.writableFinished) controller.abort();
  });
  let response: WireResponse;
  try {
    response = await handle(incoming(request, clock, controller.signal));
  } catch (cause) {
    if (!(cause instanceof Refusal)) throw cause;
    response = refusalAnswer(cause);
  }
  if (bytesOf(response.headers) > SHORT_BYTES) await takeTurn();
  return send(request, reply, response);
}

function incoming(request: FastifyRequest, clock: Clock, signal: AbortSignal): IncomingRequest {
  const headers = Object.fromEntries(
    Object.entries(request.headers).map(([name, value]) => [
      name,
      Array.isArray(value) ? value.join(', ') : value,
    ]),
  );
  const paced = hasBody(request) ? pacedBody(request.raw, clock) : nothing();
  const encoding = headers['content-encoding'];
  const decodes = encoding !== undefined && request.url.includes('/chunks/');
  // The core never sees that a chunk was compressed; its length is then another one.
  if (decodes) for (const name of ['content-encoding', 'content-length']) delete headers[name];
  return {
    method: request.method,
    path: request.url,
    headers,
    body: decodes ? decodedBody(paced, encoding) : paced,
    remoteAddress: request.ip,
    signal,
  };
}

/** RFC 9112 §6.3. */
function hasBody({ raw: { headers } }: FastifyRequest): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
}

async function send(
  request: FastifyRequest,
  reply: FastifyReply,
  { status, headers, body }: WireResponse,
): Promise<FastifyReply> {
  reply.code(status).headers(headers);
  // The rest of a body that nobody wants is not read to its end.
  if (!request.raw.complete && request.raw.headers['transfer-encoding'] !== undefined)
    reply.header('connection', 'close');
  if (!request.raw.complete && Number(request.raw.headers['content-length'] ?? 0) > 0)
    reply.header('connection', 'close');
  if (status === 304) return reply.send();
  const encoding = status === 200 ? encodingFor(request, headers) : undefined;
  // A stream costs more than a small answer itself.
  if (encoding === undefined && bytesOf(headers) <= SMALL_BYTES) return reply.send(await whole(body));
  const stream = Readable.from(body, { objectMode: false });
  return reply.send(encoding === undefined ? stream : encoded(reply, encoding, stream));
}

/** Infinity: nobody says how many. */
function bytesOf(headers: WireResponse['headers']): number {
  return Number(headers['content-length'] ?? Number.POSITIVE_INFINITY);
}

async function whole(body: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of body) pieces.push(piece);
  const [first] = pieces;
  if (first === undefined || pieces.length > 1) return Buffer.concat(pieces);
  return Buffer.from(first.buffer, first.byteOffset, first.byteLength);
}

/** For who asks for it; messages go as they are. */
function encodingFor(request: FastifyRequest, headers: WireResponse['headers']): 'zstd' | 'gzip' | undefined {
  if (headers['content-type'] === 'application/json') return undefined;
  const accepted = String(request.headers['accept-encoding'] ?? '').split(/\s*,\s*/);
  return (['zstd', 'gzip'] as const).find((name) => accepted.includes(name));
}

function encoded(reply: FastifyReply, encoding: 'zstd' | 'gzip', stream: Readable): Readable {
  reply.removeHeader('content-length');
  reply.removeHeader('accept-ranges');
  const etag = String(reply.getHeader('etag') ?? '');
  reply.headers({
    'content-encoding': encoding,
    vary: 'Accept-Encoding',
    etag: etag.replace(/"$/, `-${encoding}"`),
  });
  const encoder = encoding === 'zstd' ? createZstdCompress() : createGzip({ level: 1 });
  stream.on('error', (cause) => encoder.destroy(cause));
  return stream.pipe(encoder);
}
