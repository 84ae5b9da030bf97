/** The operator's API as an OpenAPI 3.1 document, made from `admin-routes.ts`. */

import { z } from 'zod';
import { type AdminRoute, operatorRoutes, readingRoutes, sessionRoutes } from './admin-routes.ts';

type JsonObject = Record<string, unknown>;

export function adminOpenApiDocument(): JsonObject {
  const paths: Record<string, JsonObject> = {};
  for (const [id, route] of Object.entries<AdminRoute>({
    ...sessionRoutes,
    ...readingRoutes,
    ...operatorRoutes,
  })) {
    const path = route.path.replaceAll(/:([a-zA-Z]+)/g, '{$1}').replace('*', '{file}');
    paths[path] = { ...paths[path], [route.method.toLowerCase()]: operationOf(id, route) };
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Headwater coordinator, for its operator',
      version: '1',
      description:
        'On the admin listener. Programs send the admin token, browsers the cookie that they got for it.',
    },
    security: [{ token: [] }, { session: [] }],
    paths,
    components: {
      securitySchemes: {
        token: { type: 'http', scheme: 'bearer' },
        session: { type: 'apiKey', in: 'cookie', name: 'headwater-session' },
      },
    },
  };
}

function operationOf(id: string, route: AdminRoute): JsonObject {
  const file = route.path.endsWith('*')
    ? [{ name: 'file', in: 'path', required: true, schema: { type: 'string' } }]
    : [];
  const parameters = [...parametersOf(route.params, 'path'), ...file, ...parametersOf(route.query, 'query')];
  return {
    operationId: id,
    summary: route.summary,
    ...(Object.hasOwn(sessionRoutes, id) ? { security: [] } : {}),
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(route.body === undefined
      ? {}
      : { requestBody: { content: { 'application/json': { schema: schemaOf(route.body) } } } }),
    responses: {
      default: { description: route.answer },
      '4XX': { description: 'Why not: `{ error: { code, message, hint } }`.' },
    },
  };
}

function parametersOf(shape: z.ZodObject | undefined, where: 'path' | 'query'): JsonObject[] {
  if (shape === undefined) return [];
  const { properties = {} } = schemaOf(shape) as { properties?: Record<string, JsonObject> };
  return Object.entries(properties).map(([name, schema]) => ({
    name,
    in: where,
    required: where === 'path',
    schema,
  }));
}

function schemaOf(schema: z.ZodType): JsonObject {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' });
  return rest;
}
