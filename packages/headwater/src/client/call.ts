/**
 * One call of the client API: a route and its values become a signed request, the answer a checked value or a typed failure.
 * It tries once (after correcting its clock, if that was the trouble); patience is in `retry.ts`.
 */

import { utf8ToBytes } from '@noble/hashes/utils.js';
import { z } from 'zod';
import { toBase64url } from '../base/base64url.ts';
import { HeadwaterError } from '../base/errors.ts';
import { printable } from '../base/printable.ts';
import { parseWireJson } from '../federation/wire/json.ts';
import { LIMITS, wireError } from '../federation/wire/messages.ts';
import { type RouteId, type RouteShape, routes } from '../federation/wire/routes.ts';
import { signRequest } from '../federation/wire/signing.ts';
import type { WireResponse } from '../federation/wire/transport.ts';
import type { AnswerOf, BodyOf, BytesBody, JsonRoute } from './api.ts';
import { readBody } from './body.ts';
import { notAsAgreed, Refused, Unanswered } from './failures.ts';
import { digestOf, portableHasher } from './hashing.ts';
import type { ClientParts, Signer } from './ports.ts';

export type CallParts = Pick<ClientParts, 'transport' | 'clock' | 'entropy' | 'hasher'>;

type Values = Readonly<Record<string, string | number>>;

export type CallInput<R extends RouteId> = BodyOf<R> & {
  readonly params?: Values;
  readonly query?: Values;
  readonly headers?: Readonly<Record<string, string>>;
};

export interface Caller {
  json<R extends JsonRoute>(route: R, input: CallInput<R>, signal: AbortSignal): Promise<AnswerOf<R>>;
  /** The body is read by the caller. 200, or 206 where a range was asked for. */
  bytes<R extends Exclude<RouteId, JsonRoute>>(
    route: R,
    input: CallInput<R>,
    signal: AbortSignal,
  ): Promise<WireResponse>;
}

/** A manifest fits, and the longest list of chunks. */
const MAX_ANSWER_BYTES = 4 * LIMITS.jsonBytes;

/** `signer` undefined: for routes that need no key. */
export function createCaller(parts: CallParts, signer: Signer | undefined): Caller {
  /** What the coordinator's clock shows more than ours. */
  let offsetMs = 0;

  async function send(id: RouteId, input: CallInput<RouteId>, signal: AbortSignal): Promise<WireResponse> {
    const route: RouteShape = routes[id];
    const path = pathOf(route, input.params, input.query);
    const { headers, body, bodyDigest } = contentOf(parts, route, input.body);
    const nonce = toBase64url(parts.entropy(16));
    const createdMs = parts.clock.nowMs() + offsetMs;
    const signed =
      route.auth === 'none' || signer === undefined
        ? {}
        : await signRequest(signer, { method: route.method, path, bodyDigest, createdMs, nonce });
    const request = { method: route.method, path, headers: { ...headers, ...input.headers, ...signed } };
    const response = await parts.transport(body === undefined ? request : { ...request, body }, signal);
    if (response.status === 200 || response.status === 206) return response;
    throw await refusalOf(response);
  }

  /** A wrong clock is corrected by what the coordinator says it is, once a call. */
  async function sendOnTime(
    id: RouteId,
    input: CallInput<RouteId>,
    signal: AbortSignal,
  ): Promise<WireResponse> {
    try {
      return await send(id, input, signal);
    } catch (failure) {
      const time = failure instanceof Refused ? failure.answer.serverTimeMs : undefined;
      if (time === undefined || !(failure instanceof Refused) || failure.answer.code !== 'clock-skew')
        throw failure;
      offsetMs = time - parts.clock.nowMs();
      return send(id, input, signal);
    }
  }

  return {
    async json(id, input, signal) {
      const response = await sendOnTime(id, input as CallInput<RouteId>, signal);
      const value = parsedAnswer(await readBody(response.body, MAX_ANSWER_BYTES));
      const parsed = (routes[id].response as z.ZodType).safeParse(value);
      if (parsed.success) return parsed.data as never;
      throw notAsAgreed(`${id}: ${printable(z.prettifyError(parsed.error))}`);
    },
    bytes: (id, input, signal) => sendOnTime(id, input as CallInput<RouteId>, signal),
  };
}

interface Content {
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array | undefined;
  readonly bodyDigest: string | undefined;
}

function contentOf(parts: CallParts, route: RouteShape, body: unknown): Content {
  if (route.method === 'GET') return { headers: {}, body: undefined, bodyDigest: undefined };
  if (route.body === 'bytes') {
    const { sent, digest, encoding } = body as BytesBody;
    const encoded = encoding === undefined ? {} : { 'content-encoding': encoding };
    return {
      headers: { 'content-type': 'application/octet-stream', ...encoded },
      body: sent,
      bodyDigest: digest,
    };
  }
  const bytes = body === undefined ? new Uint8Array() : utf8ToBytes(JSON.stringify(body));
  const headers: Record<string, string> = body === undefined ? {} : { 'content-type': 'application/json' };
  return { headers, body: bytes, bodyDigest: digestOf(parts.hasher ?? portableHasher, bytes) };
}

function pathOf(route: RouteShape, params: Values = {}, query: Values = {}): string {
  const path = route.path.replaceAll(/:([a-z]+)/gi, (_, key: string) =>
    encodeURIComponent(params[key] ?? ''),
  );
  const pairs = Object.entries(query).map(([key, value]) => `${key}=${encodeURIComponent(value)}`);
  return pairs.length === 0 ? path : `${path}?${pairs.join('&')}`;
}

/** Half an answer, or a page of something in between, says nothing about the request. */
function parsedAnswer(bytes: Uint8Array): unknown {
  try {
    return parseWireJson(bytes, MAX_ANSWER_BYTES);
  } catch (cause) {
    if (!(cause instanceof HeadwaterError)) throw cause;
    throw new Unanswered(`no answer of a coordinator: ${cause.message}`, { cause });
  }
}

async function refusalOf({ status, body }: WireResponse): Promise<Error> {
  const parsed = wireError.safeParse(parsedOrUndefined(await readBody(body, MAX_ANSWER_BYTES)));
  if (parsed.success) return new Refused(status, parsed.data.error);
  const passing = status >= 500 || status === 408 || status === 425 || status === 429;
  return passing
    ? new Unanswered(`status ${status} from something that is no coordinator`)
    : notAsAgreed(`status ${status}`);
}

function parsedOrUndefined(bytes: Uint8Array): unknown {
  try {
    return parsedAnswer(bytes);
  } catch (failure) {
    if (failure instanceof Unanswered) return undefined;
    throw failure;
  }
}
