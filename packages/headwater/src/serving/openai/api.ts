/**
 * The endpoint over HTTP: Fastify takes connections, this file knows routes, keys and how an answer is sent. A client that
 * goes away ends what it asked for.
 */

import { createHash, timingSafeEqual } from 'node:crypto';
import { Readable } from 'node:stream';
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import type { Clock } from '../../base/clock.ts';
import { messageOf } from '../../base/errors.ts';
import type { Adapters, ServedName } from '../adapters.ts';
import type { TextHost } from '../text-host.ts';
import { answerChunks, chatForm, completionForm, ordersOf, startOrders, wholeAnswer } from './completions.ts';
import { ApiError, apiError, errorBody } from './errors.ts';
import {
  type ChatRequest,
  type CompletionRequest,
  parseAdapterRequest,
  parseChatRequest,
  parseCompletionRequest,
} from './requests.ts';

export interface ApiOptions {
  readonly host: TextHost;
  readonly adapters: Adapters;
  readonly modelName: string;
  /** Asked of everybody but the health check; undefined: none, and adapters cannot be changed over HTTP. */
  readonly apiKey: string | undefined;
  /** Origins of web pages that may use the endpoint. */
  readonly corsOrigins: readonly string[];
  /** Orders under way at once; more are turned away. */
  readonly maxOrders: number;
  readonly clock: Clock;
  readonly warn: (text: string) => void;
}

/** A chat of the longest context is smaller. */
const BODY_BYTES = 4 * 2 ** 20;

/** Not listening yet. */
export function createApi(options: ApiOptions): FastifyInstance {
  const app = Fastify({
    logger: false,
    bodyLimit: BODY_BYTES,
    forceCloseConnections: 'idle',
    frameworkErrors: (_error: unknown, _request: FastifyRequest, reply: FastifyReply) =>
      reply.code(404).send(errorBody(new ApiError(404, 'there is nothing at this path'))),
  } as Parameters<typeof Fastify>[0]) as unknown as FastifyInstance;
  addHeaders(app, options);
  app.setNotFoundHandler((request, reply) =>
    sendError(reply, new ApiError(404, `unknown request URL: ${request.method} ${request.url}`)),
  );
  app.setErrorHandler((cause, _request, reply) => {
    const error = apiError(cause);
    if (error.status >= 500) options.warn(messageOf(cause));
    return sendError(reply, error);
  });
  app.get('/health', (_request, reply) => {
    const failure = options.host.failure();
    return reply.code(failure === undefined ? 200 : 503).send({
      status: failure === undefined ? 'ok' : 'failed',
      model: options.modelName,
      ...options.host.facts,
    });
  });
  addModels(app, options);
  addCompletions(app, options);
  return app;
}

function sendError(reply: FastifyReply, error: ApiError): FastifyReply {
  return reply.code(error.status).type('application/json').send(errorBody(error));
}

function addHeaders(app: FastifyInstance, { apiKey, corsOrigins }: ApiOptions): void {
  app.addHook('onRequest', async (request, reply) => {
    reply.headers({ 'x-content-type-options': 'nosniff', 'cache-control': 'no-store', vary: 'origin' });
    const { origin } = request.headers;
    if (origin !== undefined && corsOrigins.some((allowed) => allowed === origin || allowed === '*'))
      reply.headers({
        'access-control-allow-origin': origin,
        'access-control-allow-headers': 'authorization, content-type, x-stainless-*',
        'access-control-allow-methods': 'GET, POST, DELETE',
      });
    if (request.method === 'OPTIONS') return reply.code(204).send();
    if (apiKey === undefined || request.url === '/health') return undefined;
    if (isKey(apiKey, request.headers.authorization)) return undefined;
    return sendError(reply, new ApiError(401, 'the API key is missing or wrong', null, 'invalid_api_key'));
  });
}

/** Digests have one length, so that comparing takes one time. */
function isKey(expected: string, header: string | undefined): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest();
  const given = /^Bearer +(\S+)$/i.exec(header ?? '')?.[1] ?? '';
  return timingSafeEqual(digest(given), digest(expected));
}

function addModels(app: FastifyInstance, { adapters, modelName, apiKey, clock }: ApiOptions): void {
  const created = Math.floor(clock.nowMs() / 1000);
  const entry = ({ name, adapter }: ServedName) => ({
    id: name,
    object: 'model',
    created,
    owned_by: 'headwater',
    ...(adapter === undefined ? {} : { parent: modelName }),
  });
  app.get('/v1/models', () => ({ object: 'list', data: adapters.names().map(entry) }));
  // Names may have slashes.
  app.get('/v1/models/*', (request) => {
    const wanted = (request.params as { readonly '*': string })['*'];
    const found = adapters.names().find(({ name }) => name === wanted);
    if (found === undefined) throw noSuchModel(wanted);
    return entry(found);
  });
  const mayChange = () => {
    if (apiKey !== undefined) return;
    throw new ApiError(403, 'adapters are changed over HTTP only where the server has an API key');
  };
  app.post('/v1/adapters', async (request, reply) => {
    mayChange();
    const { name, folder } = parseAdapterRequest(request.body);
    await adapters.load(name, folder);
    return reply.code(201).send(entry({ name, adapter: name }));
  });
  app.delete('/v1/adapters/*', async (request) => {
    mayChange();
    const name = (request.params as { readonly '*': string })['*'];
    if (!(await adapters.unload(name))) throw noSuchModel(name);
    return { id: name, object: 'model', deleted: true };
  });
}

function noSuchModel(name: string): ApiError {
  return new ApiError(
    404,
    `there is no model "${name}"; GET /v1/models lists them`,
    'model',
    'model_not_found',
  );
}

function addCompletions(app: FastifyInstance, options: ApiOptions): void {
  const { adapters, clock } = options;
  const serve = servesOrders(options);
  const served = async (name: string): Promise<ServedName> => {
    const found = await adapters.find(name);
    if (found === undefined) throw noSuchModel(name);
    return found;
  };
  app.post('/v1/chat/completions', async (request, reply) => {
    const asked = parseChatRequest(request.body);
    const found = await served(asked.model);
    if (!options.host.facts.hasChatTemplate)
      throw new ApiError(400, 'the model has no chat template: use /v1/completions', 'messages');
    return serve(reply, asked, chatForm(asked, { clock, served: found }), found);
  });
  app.post('/v1/completions', async (request, reply) => {
    const asked = parseCompletionRequest(request.body);
    const found = await served(asked.model);
    return serve(reply, asked, completionForm(asked, { clock, served: found }), found);
  });
}

type Asked = ChatRequest | CompletionRequest;

/** Counts what is under way and sends answers whole or in pieces. */
function servesOrders({ host, maxOrders, warn }: ApiOptions) {
  let underWay = 0;
  return async (
    reply: FastifyReply,
    asked: Asked,
    form: ReturnType<typeof chatForm>,
    served: ServedName,
  ): Promise<unknown> => {
    const orders = ordersOf(asked, form, served);
    const weight = orders.length * asked.n;
    if (underWay + weight > maxOrders)
      throw new ApiError(
        429,
        'too many requests are under way, try again later',
        null,
        'rate_limit_exceeded',
      );
    const gone = new AbortController();
    reply.raw.once('close', () => gone.abort());
    underWay += weight;
    let isStreaming = false;
    try {
      const streams = await startOrders(host, orders, gone.signal);
      if (asked.stream !== true) return await wholeAnswer(form, streams, asked.n);
      isStreaming = true;
      const chunks = answerChunks(form, streams, asked.n, asked.stream_options?.include_usage === true);
      const release = () => {
        underWay -= weight;
      };
      return reply.type('text/event-stream').send(Readable.from(eventStream(chunks, release, warn)));
    } finally {
      if (!isStreaming) underWay -= weight;
    }
  };
}

/** An error in the middle of a stream is an event too: the status line has long been sent. */
async function* eventStream(
  chunks: AsyncIterable<object>,
  release: () => void,
  warn: (text: string) => void,
): AsyncGenerator<string> {
  try {
    for await (const chunk of chunks) yield `data: ${JSON.stringify(chunk)}\n\n`;
    yield 'data: [DONE]\n\n';
  } catch (cause) {
    warn(messageOf(cause));
    yield `data: ${JSON.stringify(errorBody(apiError(cause)))}\n\n`;
  } finally {
    release();
  }
}
