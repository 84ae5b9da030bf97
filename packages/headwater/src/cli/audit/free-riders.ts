/** `headwater audit free-riders`: what a run’s watch saw of owners who may have sent what they did not learn. */

import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { Command } from 'commander';
import { HeadwaterError } from '../../base/errors.ts';
import { detectionNotes, FREE_RIDER_NOTE, freeRiderTable } from '../../report/free-riders.ts';
import { type RunResults, resultsOf } from '../../runs/results.ts';
import { readEvents, runPaths } from '../../runs/run-folder.ts';
import { jsonOption } from '../options.ts';
import { wrapped } from '../show-comparison.ts';
import { paint, renderTable } from '../style.ts';

export function auditFreeRidersCommand(): Command {
  return new Command('free-riders')
    .description('who may have sent what it did not learn, round by round: signs, never a verdict')
    .argument('<folder>', 'run folder, also of a run that goes on, or the result folder of a deployed run')
    .addOption(jsonOption())
    .action(audit);
}

async function audit(folder: string, { json }: { readonly json?: true }): Promise<void> {
  const { freeRiders } = await resultsIn(folder);
  if (freeRiders === undefined)
    throw new HeadwaterError('OPTION_INVALID', 'this run did not look for free-riders', {
      where: folder,
      hint: 'Run it with --set federation.freeRiders={}: each round is looked at when it closes.',
    });
  if (json) return void console.log(JSON.stringify(freeRiders, null, 2));
  const { head, rows } = freeRiderTable(freeRiders);
  console.log(renderTable({ head, rows, numeric: false }));
  for (const { round, suspects } of freeRiders.rounds)
    if (suspects.length > 0) console.log(`round ${round}: ${suspects.join(', ')}`);
  console.log('');
  for (const note of [...detectionNotes(freeRiders), FREE_RIDER_NOTE]) console.log(paint.dim(wrapped(note)));
}

/** A simulated run has a journal; a coordinator writes results from its own. */
async function resultsIn(folder: string): Promise<RunResults> {
  const { journal, results } = runPaths(folder);
  if (!existsSync(journal) && existsSync(results)) return JSON.parse(await readFile(results, 'utf8'));
  return resultsOf(await readEvents(folder));
}
