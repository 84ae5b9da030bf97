/** `npm run check:arrows`: prints every breach of the rules in `arrows.ts` and `web-arrows.ts` with file and line, and fails. */

import { join } from 'node:path';
import { checkHouse } from './arrows.ts';
import { readSources } from './imports.ts';
import { checkWeb } from './web-arrows.ts';

const packages = join(import.meta.dirname, '../packages');
const files = readSources(join(packages, 'headwater/src'));
const pages = readSources(join(packages, 'web/src'));
const breaches = [
  ...checkHouse(files).map(({ where, what }) => `packages/headwater/src/${where}  ${what}`),
  ...checkWeb(pages, files).map(({ where, what }) => `packages/web/src/${where}  ${what}`),
];
for (const breach of breaches) console.error(breach);
if (breaches.length > 0) process.exitCode = 1;
else
  console.log(
    `arrows: ${files.length + pages.length} files, all downward, no cycles, no Node in browser rooms and pages`,
  );
