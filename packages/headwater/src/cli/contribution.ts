/** `headwater contribution`: what each owner added to a finished run, from its kept updates and its validation set. */

import { Command } from 'commander';
import { CONTRIBUTION_NOTE, contributionTable } from '../report/contribution.ts';
import { writeReport } from '../report/write.ts';
import { runPaths } from '../runs/run-folder.ts';
import { contributions } from '../simulation/contribution/contribute.ts';
import { openStoredRun } from '../simulation/unlearning/stored-run.ts';
import { writeFileAtomically } from '../storage/atomic-file.ts';
import { jsonOption, wholeNumber } from './options.ts';
import { createDisplay } from './progress.ts';
import { wrapped } from './show-comparison.ts';
import { paint, renderTable } from './style.ts';

interface ContributionCommandOptions {
  readonly rounds: number;
  readonly permutations: number;
  readonly sample: number;
  readonly json?: true;
}

export function contributionCommand(): Command {
  return new Command('contribution')
    .description('what each owner added to a finished run that kept its updates; also into its report')
    .argument('<run>', 'run folder, of a run with federation.keepUpdates')
    .option('--rounds <n>', 'rounds to look at, evenly spaced', wholeNumber, 3)
    .option('--permutations <n>', 'of GTG-Shapley, in each round, at most', wholeNumber, 20)
    .option('--sample <n>', 'validation rows', wholeNumber, 50)
    .addOption(jsonOption())
    .action(contribution);
}

async function contribution(folder: string, options: ContributionCommandOptions): Promise<void> {
  const { rounds, permutations, sample, json } = options;
  const display = createDisplay({ stream: process.stderr, nowMs: () => performance.now() });
  const stored = await openStoredRun(folder, display.onProgress).finally(display.stop);
  const onRound = (done: number, total: number) => process.stderr.write(`round ${done} of ${total}\n`);
  const found = await contributions(stored, { rounds, permutations, sample, onRound });
  await writeFileAtomically(runPaths(folder).contribution, `${JSON.stringify(found, null, 2)}\n`);
  const report = await writeReport(folder);
  if (json) return void console.log(JSON.stringify(found, null, 2));
  console.log(renderTable(contributionTable(found)));
  console.log(paint.dim(wrapped(CONTRIBUTION_NOTE)));
  console.log(report);
}
