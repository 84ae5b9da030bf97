/** `npm run docs`: writes the client's types from the published OpenAPI document. `--check` fails when they are out of date. */

import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { generateApi } from 'swagger-typescript-api';
import { openApiDocument } from '../packages/headwater/src/federation/wire/openapi.ts';

const HEADER = `/**
 * Types of the client API, made from its OpenAPI document by \`npm run docs\`. Not edited by hand: a change of the routes
 * shows here, and where the client does not fit any more it does not compile.
 */

`;

const root = join(import.meta.dirname, '..');
const file = join(root, 'packages/headwater/src/client/api-types.ts');

const generated = await generateApi({
  spec: openApiDocument() as never,
  output: false,
  silent: true,
  fileName: 'api-types.ts',
  generateClient: false,
  extractRequestBody: true,
  extractResponseBody: true,
});
const text = formatted(HEADER + (generated.files[0]?.fileContent ?? ''));

if (!process.argv.includes('--check')) writeFileSync(file, text);
else if (readFileSync(file, 'utf8') !== text) {
  console.error('packages/headwater/src/client/api-types.ts is out of date: npm run docs');
  process.exitCode = 1;
}

function formatted(source: string): string {
  const biome = join(root, 'node_modules/.bin/biome');
  return execFileSync(biome, ['format', '--stdin-file-path=packages/headwater/src/client/api-types.ts'], {
    cwd: root,
    input: source,
    encoding: 'utf8',
  });
}
