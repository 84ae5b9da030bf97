/** docs/experiments.md: how to compare, with the keys of an experiment file from the schema that checks it. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { experimentShape } from '../packages/headwater/src/experiments/schema.ts';
import { keyRows } from '../packages/headwater/src/recipe/reference-page.ts';

const EXAMPLE = join(import.meta.dirname, '../packages/headwater/recipes/experiments/compare-lora.yaml');

export function experimentsPage(): string {
  return `${[
    '# Experiments',
    '',
    '`headwater compare FILE` runs one recipe in several arms, each with several seeds, and says what came out and how sure that is. This page is made by `npm run docs`.',
    '',
    '```yaml',
    readFileSync(EXAMPLE, 'utf8').trimEnd(),
    '```',
    '',
    ...keyRows(experimentShape),
    '',
    '- Settings come in this order, later ones win: the base, `set`, `--set` of the command line, the arm, the grid. Every cell is checked as the recipe that it makes; all mistakes are told together, each at the line that makes it. What method, tuning and data refuse together is told for all arms before anything starts.',
    '- Each cell is an ordinary run in `FOLDER/cells/ARM/seed-N`, with all that a run folder has. The same command continues an interrupted experiment; finished cells are not run again. A stored cell whose recipe has changed is refused by name; `--force` deletes and repeats such cells.',
    '- With one seed all arms draw the same owners, batches and held-out rows. Digests of data and model are compared, and tokens counted: where an arm had other data, another model or another budget, a note under the table says so.',
    '- `±` is half the width of a 95 % interval of the mean by Student’s t over seeds. Differences to the first arm are taken seed by seed.',
    '- `results.json`, `summary.csv` (a row an arm), `cells.csv` (a row a run) and `report.html` are made from the journals of the runs. `headwater report FOLDER --tensorboard OUT` writes event files for TensorBoard, a folder a run.',
  ].join('\n')}\n`;
}
