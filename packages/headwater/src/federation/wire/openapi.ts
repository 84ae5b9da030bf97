/** The client API as an OpenAPI 3.1 document, made from `routes.ts`: what is published is what is checked. */

import { z } from 'zod';
import { PROTOCOL_VERSION, wireError } from './messages.ts';
import { type RouteId, type RouteShape, routes } from './routes.ts';

type JsonObject = Record<string, unknown>;

export function openApiDocument(): JsonObject {
  const paths: Record<string, JsonObject> = {};
  for (const id of Object.keys(routes) as RouteId[]) {
    const route: RouteShape = routes[id];
    const path = route.path.replaceAll(/:([a-zA-Z]+)/g, '{$1}');
    paths[path] = { ...paths[path], [route.method.toLowerCase()]: operationOf(id, route) };
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Headwater coordinator',
      version: String(PROTOCOL_VERSION),
      description:
        'What clients of a deployment use. Requests are signed by HTTP message signatures (RFC 9421).',
    },
    paths,
    components: {
      schemas: { Error: schemaOf(wireError, 'output') },
      securitySchemes: {
        signature: {
          type: 'apiKey',
          in: 'header',
          name: 'Signature',
          description:
            'RFC 9421 with Ed25519 over "@method" "@path" "@query" (and "content-digest" where there is a body), with the parameters created, ms, nonce, keyid, alg. keyid: first 16 bytes of the SHA-256 of the public key, in hex.',
        },
      },
    },
  };
}

function operationOf(id: RouteId, route: RouteShape): JsonObject {
  const parameters = [...parametersOf(route.params, 'path'), ...parametersOf(route.query, 'query')];
  const { body } = route;
  const content = body === undefined ? undefined : contentOf(body, 'input');
  return {
    operationId: id,
    summary: route.summary,
    security: route.auth === 'none' ? [] : [{ signature: [] }],
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(content === undefined ? {} : { requestBody: { required: true, content } }),
    responses: {
      200: { description: 'As asked for.', content: contentOf(route.response, 'output') },
      ...(id === 'blob' ? { 206: { description: 'A range.', content: contentOf('bytes', 'output') } } : {}),
      default: {
        description: 'Why not.',
        content: { 'application/json': { schema: { $ref: '#/components/schemas/Error' } } },
      },
    },
  };
}

function parametersOf(shape: z.ZodObject | undefined, where: 'path' | 'query'): JsonObject[] {
  if (shape === undefined) return [];
  const { properties = {} } = schemaOf(shape, 'input') as { properties?: Record<string, JsonObject> };
  return Object.entries(properties).map(([name, schema]) => ({
    name,
    in: where,
    required: where === 'path',
    schema,
  }));
}

function contentOf(body: z.ZodType | 'bytes', io: 'input' | 'output'): JsonObject {
  if (body === 'bytes')
    return { 'application/octet-stream': { schema: { type: 'string', format: 'binary' } } };
  return { 'application/json': { schema: schemaOf(body, io) } };
}

function schemaOf(schema: z.ZodType, io: 'input' | 'output'): JsonObject {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, {
    target: 'draft-2020-12',
    io,
    unrepresentable: 'any',
  });
  return rest;
}
