import { expect, it } from 'vitest';
import { openApiDocument } from './openapi.ts';
import { routes } from './routes.ts';

it('the OpenAPI document describes every route, its parameters and its bodies', () => {
  const document = JSON.parse(JSON.stringify(openApiDocument()));
  const operations = Object.values(document.paths).flatMap((path) =>
    Object.values(path as Record<string, { operationId: string }>),
  );
  expect(operations.map(({ operationId }) => operationId).sort()).toEqual(Object.keys(routes).sort());
  const chunk = document.paths['/v1/runs/{run}/uploads/{digest}/chunks/{index}'].put;
  expect(chunk.parameters.map(({ name }: { name: string }) => name)).toEqual(['run', 'digest', 'index']);
  expect(chunk.requestBody.content).toHaveProperty('application/octet-stream');
  expect(document.paths['/v1/join'].post.requestBody.content['application/json'].schema.required).toEqual([
    'token',
    'publicKey',
    'software',
  ]);
  expect(JSON.stringify(document)).not.toContain('$defs');
});
