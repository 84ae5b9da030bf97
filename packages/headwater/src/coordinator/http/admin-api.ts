/**
 * The operator's API over HTTP, on a listener of its own: JSON behind a bearer token. It says nothing to clients and knows
 * no more than the `Operator` does; results are files of the results folder.
 */

import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import { z } from 'zod';
import { HeadwaterError, messageOf } from '../../base/errors.ts';
import { name } from '../../federation/wire/messages.ts';
import { Refusal } from '../../federation/wire/refusals.ts';
import { isAdminToken } from '../admin-token.ts';
import type { Metrics } from '../metrics.ts';
import type { Log, Operator } from '../ports.ts';
import { parsed } from '../requests/match-route.ts';
import type { EventHub } from './event-stream.ts';

export interface AdminApiOptions {
  readonly token: string;
  readonly operator: Operator;
  readonly metrics: Metrics;
  readonly hub: EventHub;
  readonly log: Log;
  /** Where clients reach the coordinator. */
  readonly clientUrl: string;
  /** With one folder a run. */
  readonly resultsFolder: string;
}

/** Files of a result that may be fetched. */
const RESULT_FILES = [
  'adapter/adapter_model.safetensors',
  'adapter/adapter_config.json',
  'results.json',
  'metrics.jsonl',
  'report.html',
  'recipe.yaml',
] as const;

const inRun = z.object({ run: name });
const because = z.strictObject({ reason: z.string().max(1000).optional() }).optional();
const tokenBody = z.strictObject({
  owner: name.nullable().default(null),
  uses: z.int().min(1).max(1_000_000).default(1),
  ttlSeconds: z
    .number()
    .positive()
    .max(10 * 366 * 86_400)
    .default(7 * 86_400),
});
const runBody = z.strictObject({ run: name, recipe: z.record(z.string(), z.unknown()) });
const tokenId = z.object({ id: z.string().regex(/^[0-9a-f]{16}$/) });
const clientId = z.object({ id: z.string().regex(/^[0-9a-f]{32}$/) });

export function createAdminApi(options: AdminApiOptions): FastifyInstance {
  const { operator, metrics, token } = options;
  const app = Fastify({ logger: false, bodyLimit: 1 << 20, forceCloseConnections: true });
  app.addHook('onRequest', async (request, reply) => {
    reply.headers({ 'x-content-type-options': 'nosniff', 'cache-control': 'no-store' });
    if (!isAdminToken(token, request.headers.authorization))
      return reply.code(401).send(errorBody('JOIN_REFUSED', 'the admin token is missing or wrong'));
  });
  app.setErrorHandler((error, request, reply) => answerError(options, error, request, reply));
  app.setNotFoundHandler((_request, reply) =>
    reply.code(404).send(errorBody('REQUEST_REFUSED', 'there is nothing at this path')),
  );
  app.get('/metrics', async (_request, reply) => reply.type(metrics.contentType).send(await metrics.text()));
  app.get('/admin/about', () => ({ url: options.clientUrl }));
  addRuns(app, options);
  addSteering(app, operator);
  addTokensAndClients(app, operator);
  return app;
}

function addRuns(app: FastifyInstance, { operator, hub, resultsFolder }: AdminApiOptions): void {
  app.get('/admin/runs', async () => ({ runs: await operator.runs() }));
  app.post('/admin/runs', async (request, reply) => {
    const { run, recipe } = parsed(runBody, request.body, 'body');
    await operator.createRun(run, recipe);
    return reply.code(201).send({ run });
  });
  app.get('/admin/runs/:run', async (request) => {
    const run = runOf(request);
    const summary = (await operator.runs()).find((item) => item.run === run);
    if (summary === undefined) throw new HeadwaterError('RUN_NOT_FOUND', `there is no run "${run}"`);
    return summary;
  });
  app.get('/admin/runs/:run/state', async (request) => ({
    state: (await operator.state(runOf(request))) ?? null,
  }));
  app.get('/admin/runs/:run/manifest', (request) => operator.manifest(runOf(request)));
  app.get('/admin/runs/:run/events', async (request, reply) => {
    const { after } = parsed(
      z.object({ after: z.coerce.number().int().min(0).default(0) }),
      request.query,
      'query',
    );
    const run = runOf(request);
    if (!String(request.headers.accept).includes('text/event-stream'))
      return { events: await operator.events(run, after) };
    const controller = new AbortController();
    reply.raw.once('close', () => controller.abort());
    const from = Math.max(after, Number(request.headers['last-event-id'] ?? 0) || 0);
    const messages = hub.follow(operator, run, from, controller.signal);
    return reply.type('text/event-stream').send(Readable.from(messages));
  });
  app.get('/admin/runs/:run/result/*', async (request, reply) => {
    const wanted = (request.params as { readonly '*': string })['*'];
    const file = RESULT_FILES.find((known) => known === wanted);
    const path = file && join(resultsFolder, runOf(request), file);
    const found = path === undefined ? undefined : await stat(path).catch(() => undefined);
    if (path === undefined || found === undefined)
      throw new HeadwaterError('RUN_NOT_FOUND', 'there is no such file of a result', {
        hint: `It may be one of ${RESULT_FILES.join(', ')}, once the run is over.`,
      });
    return reply
      .type('application/octet-stream')
      .header('content-length', found.size)
      .send(createReadStream(path));
  });
}

function addSteering(app: FastifyInstance, operator: Operator): void {
  const reasonOf = (request: FastifyRequest) =>
    parsed(because, request.body ?? undefined, 'body')?.reason ?? 'the operator asked for it';
  const done = { done: true };
  app.post('/admin/runs/:run/pause', async (request) => {
    await operator.pause(runOf(request), reasonOf(request));
    return done;
  });
  app.post('/admin/runs/:run/resume', async (request) => {
    await operator.resume(runOf(request));
    return done;
  });
  app.post('/admin/runs/:run/stop', async (request) => {
    await operator.stop(runOf(request), reasonOf(request));
    return done;
  });
  app.post('/admin/runs/:run/cancel', async (request) => {
    await operator.cancel(runOf(request), reasonOf(request));
    return done;
  });
  app.post('/admin/runs/:run/owners/:owner/pardon', async (request) => {
    const { run, owner } = parsed(inRun.extend({ owner: name }), request.params, 'path');
    await operator.pardon(run, owner);
    return done;
  });
}

function addTokensAndClients(app: FastifyInstance, operator: Operator): void {
  app.get('/admin/runs/:run/tokens', async (request) => ({ tokens: await operator.tokens(runOf(request)) }));
  app.post('/admin/runs/:run/tokens', async (request, reply) => {
    const { owner, uses, ttlSeconds } = parsed(tokenBody, request.body ?? {}, 'body');
    const made = await operator.createToken({ run: runOf(request), owner, uses, ttlMs: 1000 * ttlSeconds });
    return reply.code(201).send(made);
  });
  app.delete('/admin/tokens/:id', async (request) => {
    await operator.revokeToken(parsed(tokenId, request.params, 'path').id);
    return { done: true };
  });
  app.get('/admin/runs/:run/clients', async (request) => ({
    clients: await operator.clients(runOf(request)),
  }));
  app.post('/admin/clients/:id/revoke', async (request) => {
    await operator.revokeClient(parsed(clientId, request.params, 'path').id);
    return { done: true };
  });
}

function runOf(request: FastifyRequest): string {
  return parsed(inRun, request.params, 'path').run;
}

function errorBody(code: string, message: string, hint?: string) {
  return { error: { code, message, ...(hint === undefined ? {} : { hint }) } };
}

const STATUS: Readonly<Record<string, number>> = {
  RUN_NOT_FOUND: 404,
  RUN_EXISTS: 409,
  RUN_LOCKED: 503,
  STORAGE_FAILED: 507,
};

/** The operator is told what happened: nothing here is a secret from it. */
function answerError(
  { log }: AdminApiOptions,
  error: unknown,
  request: FastifyRequest,
  reply: FastifyReply,
): FastifyReply {
  if (error instanceof Refusal)
    return reply.code(error.status).send(errorBody('OPTION_INVALID', error.message));
  if (error instanceof HeadwaterError)
    return reply.code(STATUS[error.code] ?? 400).send(errorBody(error.code, error.message, error.hint));
  const status = (error as { statusCode?: number }).statusCode ?? 500;
  if (status < 500) return reply.code(status).send(errorBody('REQUEST_REFUSED', messageOf(error)));
  log.warn('admin-request-failed', { path: request.url, reason: messageOf(error) });
  return reply.code(500).send(errorBody('REQUEST_REFUSED', 'the coordinator failed; its log says more'));
}
