/** From an entry of `admin-routes.ts` and a handler to a route of Fastify: the handler gets only what passed the schemas. */

import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { z } from 'zod';
import { parsed } from '../requests/match-route.ts';
import type { AdminRoute } from './admin-routes.ts';

type Value<R, K extends string> = R extends { readonly [P in K]: infer T }
  ? T extends z.ZodType
    ? z.infer<T>
    : undefined
  : undefined;

export interface AdminCall<R extends AdminRoute> {
  readonly params: Value<R, 'params'>;
  readonly query: Value<R, 'query'>;
  readonly body: Value<R, 'body'>;
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
}

/** What the handler gives is the JSON answer; undefined: it answered itself. */
export function handle<R extends AdminRoute>(
  app: FastifyInstance,
  route: R,
  handler: (call: AdminCall<R>) => Promise<unknown> | unknown,
): void {
  app.route({
    method: route.method,
    url: route.path,
    handler: async (request, reply) => {
      const part = (schema: z.ZodType | undefined, value: unknown, what: string) =>
        schema === undefined ? undefined : parsed(schema, value, what);
      const call = {
        params: part(route.params, request.params, 'path'),
        query: part(route.query, request.query, 'query'),
        // A request without a body has null here.
        body: part(route.body, request.body ?? undefined, 'body'),
        request,
        reply,
      };
      return handler(call as AdminCall<R>);
    },
  });
}
