/**
 * The operator's API over HTTP, on a listener of its own: JSON behind the admin token, and the pages that use it. It says
 * nothing to clients and knows no more than the `Operator` does; results are files of the results folder.
 */

import { join } from 'node:path';
import type { FastifyInstance } from 'fastify';
import { toBase64url } from '../../base/base64url.ts';
import { type Clock, systemTimers } from '../../base/clock.ts';
import { resolveRecipeText } from '../../jobs/resolve-recipe.ts';
import type { Metrics } from '../metrics.ts';
import type { Log, Operator } from '../ports.ts';
import { adminOpenApiDocument } from './admin-openapi.ts';
import { operatorRoutes } from './admin-routes.ts';
import type { EventHub } from './event-stream.ts';
import { createGuardedApp } from './guarded-app.ts';
import { handle } from './handle.ts';
import { addReading, sendStream } from './reading-api.ts';
import { addRecipes } from './recipe-api.ts';
import type { RunSource } from './run-source.ts';

export interface AdminApiOptions {
  readonly token: string;
  readonly operator: Operator;
  readonly metrics: Metrics;
  readonly hub: EventHub;
  readonly clock: Clock;
  readonly log: Log;
  /** Where clients reach the coordinator. */
  readonly clientUrl: string;
  /** With one folder a run. */
  readonly resultsFolder: string;
  readonly pagesFolder?: string | undefined;
}

export function createAdminApi(options: AdminApiOptions): FastifyInstance {
  const { operator, metrics, hub } = options;
  const app = createGuardedApp(options);
  const document = JSON.stringify(adminOpenApiDocument());
  app.get('/metrics', async (_request, reply) => reply.type(metrics.contentType).send(await metrics.text()));
  app.get('/admin/openapi.json', (_request, reply) => reply.type('application/json').send(document));
  addReading(app, sourceOf(options), systemTimers);
  addRecipes(app);
  addRuns(app, operator, hub);
  addSteering(app, operator);
  addTokensAndClients(app, operator);
  return app;
}

function sourceOf({ operator, hub, clientUrl, resultsFolder }: AdminApiOptions): RunSource {
  return {
    kind: 'coordinator',
    clientUrl,
    runs: async () => [...(await operator.runs())].sort((a, b) => b.createdMs - a.createdMs),
    summary: operator.summary,
    recipe: operator.recipe,
    events: operator.events,
    clients: operator.clients,
    resultFolder: (run) => join(resultsFolder, run),
    changed: hub.changed,
  };
}

function addRuns(app: FastifyInstance, operator: Operator, hub: EventHub): void {
  const { createRun, state, manifest, log, events } = operatorRoutes;
  handle(app, createRun, async ({ body, reply }) => {
    const { run, recipe } = 'text' in body ? await fromText(body.text) : body;
    await operator.createRun(run, recipe);
    return reply.code(201).send({ run });
  });
  handle(app, state, async ({ params }) => ({ state: (await operator.state(params.run)) ?? null }));
  handle(app, manifest, ({ params }) => operator.manifest(params.run));
  handle(app, log, async ({ params: { run }, query: { after, limit } }) => {
    const page = await operator.log(run, after, limit);
    return { run, operatorKey: toBase64url(operator.operatorKey), ...page };
  });
  handle(app, events, async ({ params: { run }, query: { after }, request, reply }) => {
    if (!String(request.headers.accept).includes('text/event-stream'))
      return { events: await operator.events(run, after) };
    return sendStream(request, reply, (from, signal) =>
      hub.follow(operator, run, Math.max(after, from), signal),
    );
  });
}

async function fromText(text: string): Promise<{ readonly run: string; readonly recipe: unknown }> {
  const { recipe } = await resolveRecipeText(text);
  // Through JSON: what is undefined here would be absent there.
  return { run: recipe.name, recipe: JSON.parse(JSON.stringify(recipe)) };
}

function addSteering(app: FastifyInstance, operator: Operator): void {
  const { pause, resume, stop, cancel, pardon } = operatorRoutes;
  const because = (body: { readonly reason?: string | undefined } | undefined) =>
    body?.reason ?? 'the operator asked for it';
  const done = { done: true };
  handle(app, pause, async ({ params, body }) => {
    await operator.pause(params.run, because(body));
    return done;
  });
  handle(app, resume, async ({ params }) => {
    await operator.resume(params.run);
    return done;
  });
  handle(app, stop, async ({ params, body }) => {
    await operator.stop(params.run, because(body));
    return done;
  });
  handle(app, cancel, async ({ params, body }) => {
    await operator.cancel(params.run, because(body));
    return done;
  });
  handle(app, pardon, async ({ params }) => {
    await operator.pardon(params.run, params.owner);
    return done;
  });
}

function addTokensAndClients(app: FastifyInstance, operator: Operator): void {
  const { tokens, createToken, revokeToken, revokeClient } = operatorRoutes;
  handle(app, tokens, async ({ params }) => ({ tokens: await operator.tokens(params.run) }));
  handle(app, createToken, async ({ params, body: { owner, uses, ttlSeconds }, reply }) => {
    const made = await operator.createToken({ run: params.run, owner, uses, ttlMs: 1000 * ttlSeconds });
    return reply.code(201).send(made);
  });
  handle(app, revokeToken, async ({ params }) => {
    await operator.revokeToken(params.id);
    return { done: true };
  });
  handle(app, revokeClient, async ({ params }) => {
    await operator.revokeClient(params.id);
    return { done: true };
  });
}
