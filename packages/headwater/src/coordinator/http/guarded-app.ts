/**
 * An HTTP server for the operator: pages for everybody, everything else behind the admin token or the session of a browser
 * that showed it. It says what went wrong, since nothing here is a secret from the operator. It knows no run.
 */

import { randomBytes } from 'node:crypto';
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import type { Clock } from '../../base/clock.ts';
import { HeadwaterError, messageOf } from '../../base/errors.ts';
import { Refusal } from '../../federation/wire/refusals.ts';
import { isAdminToken } from '../admin-token.ts';
import type { Log } from '../ports.ts';
import { sessionRoutes } from './admin-routes.ts';
import { handle } from './handle.ts';
import { createSessions, isFromOwnPage, type Sessions } from './sessions.ts';
import { addWebPages } from './web-pages.ts';

export interface GuardedAppOptions {
  readonly token: string;
  readonly clock: Clock;
  readonly log: Log;
  /** Of the built pages. */
  readonly pagesFolder?: string | undefined;
}

/** Paths that need to be signed in; the others hold no secret. */
const GUARDED = /^\/(admin|metrics)(?=[/?]|$)/;
const SESSION = /^\/admin\/session(?=\?|$)/;

export function createGuardedApp(options: GuardedAppOptions): FastifyInstance {
  const app = Fastify({ logger: false, bodyLimit: 2 << 20, forceCloseConnections: true });
  // A form of another page could send text; JSON it could not.
  app.removeContentTypeParser('text/plain');
  const sessions = createSessions(options.clock, (bytes) => randomBytes(bytes));
  addGuard(app, options.token, sessions);
  app.setErrorHandler((error, request, reply) => answerError(options.log, error, request, reply));
  app.setNotFoundHandler((_request, reply) =>
    reply.code(404).send(errorBody('REQUEST_REFUSED', 'there is nothing at this path')),
  );
  addSessions(app, options.token, sessions);
  addWebPages(app, { index: 'index.html', folder: options.pagesFolder });
  return app;
}

function addGuard(app: FastifyInstance, token: string, sessions: Sessions): void {
  app.addHook('onRequest', async ({ url, headers }, reply) => {
    if (!GUARDED.test(url)) return;
    reply.headers({ 'x-content-type-options': 'nosniff', 'cache-control': 'no-store' });
    if (isAdminToken(token, headers.authorization)) return;
    if (!isFromOwnPage(headers))
      return reply.code(403).send(errorBody('REQUEST_REFUSED', 'a page of another site asked for this'));
    if (SESSION.test(url) || sessions.isOpen(headers)) return;
    return reply.code(401).send(errorBody('JOIN_REFUSED', 'the admin token is missing or wrong'));
  });
}

function addSessions(app: FastifyInstance, token: string, sessions: Sessions): void {
  handle(app, sessionRoutes.session, ({ request }) => ({ signedIn: sessions.isOpen(request.headers) }));
  handle(app, sessionRoutes.signIn, ({ body, request, reply }) => {
    if (!isAdminToken(token, `Bearer ${body.token.trim()}`))
      return reply.code(401).send(errorBody('JOIN_REFUSED', 'this is not the admin token'));
    reply.header('set-cookie', sessions.open(request.protocol === 'https'));
    return { signedIn: true };
  });
  handle(app, sessionRoutes.signOut, ({ request, reply }) => {
    reply.header('set-cookie', sessions.close(request.headers));
    return { signedIn: false };
  });
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

function answerError(log: Log, error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  if (error instanceof Refusal)
    return reply.code(error.status).send(errorBody('OPTION_INVALID', error.message));
  if (error instanceof HeadwaterError)
    return reply.code(STATUS[error.code] ?? 400).send(errorBody(error.code, error.message, error.hint));
  const status = (error as { statusCode?: number }).statusCode ?? 500;
  if (status < 500) return reply.code(status).send(errorBody('REQUEST_REFUSED', messageOf(error)));
  log.warn('admin-request-failed', { path: request.url, reason: messageOf(error) });
  return reply.code(500).send(errorBody('REQUEST_REFUSED', 'the coordinator failed; its log says more'));
}
