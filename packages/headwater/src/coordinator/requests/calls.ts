/** What handlers get: a request whose parts have passed the schemas of its route, and who sent it. */

import type { z } from 'zod';
import type { RouteId, routes } from '../../federation/wire/routes.ts';
import type { WireResponse } from '../../federation/wire/transport.ts';
import type { Context } from '../context.ts';
import type { Leadership } from '../lead/leadership.ts';
import type { LedRun } from '../lead/led-run.ts';
import type { SmallBlobs } from '../lead/small-blobs.ts';
import type { IncomingRequest } from '../ports.ts';
import type { ClientRecord } from '../records.ts';
import type { RunLogs } from '../run-logs.ts';
import type { Buckets } from './buckets.ts';

export interface HandlerContext extends Context {
  readonly leadership: Leadership;
  /** Failed joins by address. */
  readonly failedJoins: Buckets;
  readonly clientRequests: Buckets;
  /** Bytes of params, by digest. */
  readonly sizes: Map<string, number>;
  readonly smallBlobs: SmallBlobs;
  readonly logs: RunLogs;
}

type Shape<R extends RouteId> = (typeof routes)[R];
type Value<S, K extends string> = S extends { readonly [P in K]: infer T }
  ? T extends z.ZodType
    ? z.infer<T>
    : T extends 'bytes'
      ? AsyncIterable<Uint8Array>
      : undefined
  : undefined;

export interface Call<R extends RouteId> {
  readonly request: IncomingRequest;
  readonly params: Value<Shape<R>, 'params'>;
  readonly query: Value<Shape<R>, 'query'>;
  readonly body: Value<Shape<R>, 'body'>;
  /** Of a body that was read already; undefined for those that are streams. */
  readonly bodyBytes: Uint8Array | undefined;
}

/** From a client that joined, about its run, which this process leads. */
export interface ClientCall<R extends RouteId> extends Call<R> {
  readonly led: LedRun;
  readonly client: ClientRecord;
  /** SHA-256 that the signature vouches for; undefined without a body. */
  readonly bodyDigest: string | undefined;
}

type ClientRoute = { [R in RouteId]: Shape<R>['auth'] extends 'client' ? R : never }[RouteId];

export type Handlers = {
  readonly [R in RouteId]: (
    context: HandlerContext,
    call: R extends ClientRoute ? ClientCall<R> : Call<R>,
  ) => Promise<WireResponse>;
};
