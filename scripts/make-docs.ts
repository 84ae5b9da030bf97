/** `npm run docs`: writes the pages that are made from code. `--check` fails when they are out of date. */

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { builtinRegistries } from '../packages/headwater/src/jobs/records.ts';
import { recipeReference } from '../packages/headwater/src/recipe/reference-page.ts';
import { recipeShape } from '../packages/headwater/src/recipe/schema.ts';
import { experimentsPage } from './experiments-page.ts';
import { methodsPage } from './methods-page.ts';
import { modelsPage } from './models-page.ts';
import { resultsPage } from './results-page.ts';

const pages = new Map([
  ['recipe.md', recipeReference(recipeShape, builtinRegistries)],
  ['experiments.md', experimentsPage()],
  ['methods.md', await methodsPage()],
  ['models.md', modelsPage()],
  ['results.md', resultsPage()],
]);
const check = process.argv.includes('--check');

for (const [name, text] of pages) {
  const file = join(import.meta.dirname, '../docs', name);
  if (!check) writeFileSync(file, text);
  else if (readFileSync(file, 'utf8') !== text) {
    console.error(`docs/${name} is out of date: npm run docs`);
    process.exitCode = 1;
  }
}
