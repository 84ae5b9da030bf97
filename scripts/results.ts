/**
 * `npm run results`: runs the experiments behind docs/results.md, one after another, and stores their figures beside it.
 * What is finished is not run again; `-- NAME …` runs some only. `npm run docs` makes the page.
 */

import { spawnSync } from 'node:child_process';
import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { STORED, storedNames } from './results-page.ts';

const root = join(import.meta.dirname, '..');
const headwater = join(root, 'packages/headwater/bin/headwater.js');
const names = process.argv.slice(2).length > 0 ? process.argv.slice(2) : storedNames();

for (const name of names) {
  const out = join(root, 'experiments', name);
  const { status } = spawnSync(process.execPath, [headwater, 'compare', name, '--out', out], {
    stdio: 'inherit',
  });
  if (status !== 0) process.exit(status ?? 1);
  copyFileSync(join(out, 'results.json'), join(STORED, `${name}.json`));
}
