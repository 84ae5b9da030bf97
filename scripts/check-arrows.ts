/** `npm run check:arrows`: prints every breach of the rules in `arrows.ts` with file and line, and fails. */

import { join } from 'node:path';
import { checkHouse } from './arrows.ts';
import { readSources } from './imports.ts';

const folder = join(import.meta.dirname, '../packages/headwater/src');
const files = readSources(folder);
const breaches = checkHouse(files);
for (const { where, what } of breaches) console.error(`packages/headwater/src/${where}  ${what}`);
if (breaches.length > 0) process.exitCode = 1;
else console.log(`arrows: ${files.length} files, all downward, no cycles, no Node in browser rooms`);
