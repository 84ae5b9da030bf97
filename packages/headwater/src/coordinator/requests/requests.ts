/**
 * The way of a request: route, sender, body, handler, answer. Whatever goes wrong on it becomes a refusal; nothing that a
 * client sends makes it throw.
 */

import { messageOf } from '../../base/errors.ts';
import { Refusal } from '../../federation/wire/refusals.ts';
import { bodyDigestOf } from '../../federation/wire/signing.ts';
import type { WireResponse } from '../../federation/wire/transport.ts';
import type { CoordinatorFact, IncomingRequest } from '../ports.ts';
import { internal, refusalAnswer, refusalOf, unavailable } from './answers.ts';
import { authenticate, notHere, signatureOf, unknownKey } from './authenticate.ts';
import type { Call, HandlerContext } from './calls.ts';
import { handlers } from './handlers/handlers.ts';
import { type Match, matchRoute, parsed } from './match-route.ts';
import { passOn } from './pass-on.ts';
import { parseSmallBody, readSmallBody } from './read-body.ts';

export interface Requests {
  handle(request: IncomingRequest): Promise<WireResponse>;
  /** Takes no more; resolves when nothing is under way. */
  drain(): Promise<void>;
}

export function createRequests(context: HandlerContext): Requests {
  const underWay = new Set<Promise<WireResponse>>();
  let draining = false;
  return {
    handle(request) {
      const answer = draining
        ? Promise.resolve(refusalAnswer(unavailable('this coordinator is stopping')))
        : handleOne(context, request);
      underWay.add(answer);
      return answer.finally(() => underWay.delete(answer));
    },
    async drain() {
      draining = true;
      await Promise.all(underWay);
    },
  };
}

async function handleOne(context: HandlerContext, request: IncomingRequest): Promise<WireResponse> {
  const { clock, observe } = context.parts;
  const startedMs = clock.nowMs();
  let route: Extract<CoordinatorFact, { type: 'request' }>['route'] = 'none';
  let answer: WireResponse;
  try {
    const match = matchRoute(request.method, request.path);
    route = match.id;
    answer = await carryOut(context, request, match);
  } catch (cause) {
    answer = refusalAnswer(asRefusal(context, route, cause));
  }
  observe?.({ type: 'request', route, status: answer.status, tookMs: clock.nowMs() - startedMs });
  return answer;
}

function asRefusal({ parts }: HandlerContext, route: string, cause: unknown): Refusal {
  const known = refusalOf(cause);
  if (known === undefined) {
    const stack = cause instanceof Error ? cause.stack : undefined;
    parts.log.warn('request-failed', { route, reason: messageOf(cause), stack });
  }
  return known ?? internal();
}

async function carryOut(
  context: HandlerContext,
  request: IncomingRequest,
  match: Match,
): Promise<WireResponse> {
  const { route } = match;
  const params = route.params === undefined ? undefined : parsed(route.params, match.segments, 'path');
  const query = route.query === undefined ? undefined : parsed(route.query, match.query, 'query');
  if (route.auth === 'client') return fromClient(context, request, match, { params, query });
  const bodyBytes = await readSmallBody(request);
  const body = bodyOf(match, bodyBytes);
  const call = { request, params, query, body, bodyBytes } as unknown as Call<'join'>;
  return (handlers[match.id] as (typeof handlers)['join'])(context, call);
}

async function fromClient(
  context: HandlerContext,
  request: IncomingRequest,
  match: Match,
  given: { readonly params: unknown; readonly query: unknown },
): Promise<WireResponse> {
  const signed = signatureOf(request);
  const { run } = given.params as { readonly run: string };
  const found = await context.leadership.find(run);
  if (found.kind === 'unknown') throw unknownKey();
  if (found.kind === 'hindered') throw notHere(found.reason);
  if (found.kind === 'elsewhere') return passOn(context, found.node, request);
  const { led } = found;
  const client = await authenticate(context, led, signed);
  const streams = match.route.body === 'bytes';
  const bodyBytes = streams ? undefined : await readSmallBody(request);
  if (bodyBytes !== undefined && request.method !== 'GET' && bodyDigestOf(bodyBytes) !== signed.bodyDigest)
    throw new Refusal('unauthenticated', 'the body is not the one that was signed');
  const body = bodyBytes === undefined ? request.body : bodyOf(match, bodyBytes);
  const { bodyDigest } = signed;
  const call = { ...given, request, body, bodyBytes, led, client, bodyDigest };
  const handler = handlers[match.id] as (context: HandlerContext, call: unknown) => Promise<WireResponse>;
  return handler(context, call);
}

function bodyOf({ route }: Match, bytes: Uint8Array): unknown {
  const value = parseSmallBody(bytes);
  if (route.body !== undefined && route.body !== 'bytes') return parsed(route.body, value, 'body');
  if (value !== undefined) throw new Refusal('request-invalid', 'this route takes no body');
  return undefined;
}
