/** What pages about runs read, over any `RunSource`: a coordinator's runs and local ones look the same. Changes nothing. */

import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { stringify } from 'yaml';
import type { Timers } from '../../base/clock.ts';
import { HeadwaterError } from '../../base/errors.ts';
import { describeEnvironment } from '../../runs/environment.ts';
import { readingRoutes } from './admin-routes.ts';
import { handle } from './handle.ts';
import type { RunSource } from './run-source.ts';
import { createRunViews, type RunViews } from './run-views.ts';

/** Files of a result that may be fetched. */
const RESULT_FILES = [
  'adapter/adapter_model.safetensors',
  'adapter/adapter_config.json',
  'results.json',
  'metrics.jsonl',
  'report.html',
  'recipe.yaml',
] as const;

export function addReading(app: FastifyInstance, source: RunSource, timers: Timers): void {
  const views = createRunViews(source, timers);
  addRuns(app, source);
  addViews(app, source, views);
  addResults(app, source);
}

function addRuns(app: FastifyInstance, source: RunSource): void {
  const { about, runs, run, recipe, clients, journal } = readingRoutes;
  const { headwater: version } = describeEnvironment();
  handle(app, about, () => ({ kind: source.kind, url: source.clientUrl, version }));
  handle(app, runs, async () => ({ runs: await source.runs() }));
  handle(app, run, ({ params }) => source.summary(params.run));
  handle(app, recipe, async ({ params }) => {
    const value = await source.recipe(params.run);
    return { text: stringify(value, { lineWidth: 110, aliasDuplicateObjects: false }), recipe: value };
  });
  handle(app, clients, async ({ params }) => ({ clients: await source.clients(params.run) }));
  handle(app, journal, async ({ params, query: { after, limit } }) => {
    await source.summary(params.run);
    const entries = await source.events(params.run, after, limit + 1);
    return { entries: entries.slice(0, limit), more: entries.length > limit };
  });
}

function addViews(app: FastifyInstance, source: RunSource, views: RunViews): void {
  handle(app, readingRoutes.view, async ({ params: { run }, query: { after }, request, reply }) => {
    if (!asksForStream(request)) {
      const fold = await views.of(run);
      return { summary: await source.summary(run), ...fold.changesAfter(after) };
    }
    // A run that is not there is told before the stream begins.
    await source.summary(run);
    return sendStream(request, reply, (from, signal) => views.follow(run, Math.max(after, from), signal));
  });
  handle(app, readingRoutes.updates, async ({ params, query: { round, owner } }) => {
    const wanted = { ...(round === undefined ? {} : { round }), ...(owner === undefined ? {} : { owner }) };
    return { updates: (await views.of(params.run)).updates(wanted) };
  });
}

function asksForStream({ headers }: FastifyRequest): boolean {
  return String(headers.accept).includes('text/event-stream');
}

/** Until whoever watches hangs up. */
export function sendStream(
  { headers }: FastifyRequest,
  reply: FastifyReply,
  messages: (from: number, signal: AbortSignal) => AsyncIterable<string>,
): FastifyReply {
  const controller = new AbortController();
  reply.raw.once('close', () => controller.abort());
  const from = Math.max(0, Number(headers['last-event-id'] ?? 0) || 0);
  return reply.type('text/event-stream').send(Readable.from(messages(from, controller.signal)));
}

function addResults(app: FastifyInstance, source: RunSource): void {
  const sizeOf = async (run: string, file: string) =>
    (await stat(join(source.resultFolder(run), file)).catch(() => undefined))?.size;
  handle(app, readingRoutes.results, async ({ params: { run } }) => {
    await source.summary(run);
    const files = await Promise.all(
      RESULT_FILES.map(async (path) => ({ path, bytes: await sizeOf(run, path) })),
    );
    return { files: files.filter(({ bytes }) => bytes !== undefined) };
  });
  handle(app, readingRoutes.result, async ({ params: { run }, request, reply }) => {
    const wanted = (request.params as { readonly '*': string })['*'];
    const file = RESULT_FILES.find((known) => known === wanted);
    const bytes = file && (await sizeOf(run, file));
    if (file === undefined || bytes === undefined)
      throw new HeadwaterError('RUN_NOT_FOUND', 'there is no such file of a result', {
        hint: `It may be one of ${RESULT_FILES.join(', ')}, once the run is over.`,
      });
    return reply
      .type('application/octet-stream')
      .headers({
        'content-length': bytes,
        'content-disposition': `attachment; filename="${run}-${file.replaceAll('/', '-')}"`,
      })
      .send(createReadStream(join(source.resultFolder(run), file)));
  });
}
