/** `headwater contribution`: what each owner added to a finished run, from its kept updates and its validation set. */

import { Command } from 'commander';
import { formatDuration } from '../base/format.ts';
import { CONTRIBUTION_NOTE, contributionExtent, contributionTable } from '../report/contribution.ts';
import { writeReport } from '../report/write.ts';
import { runPaths } from '../runs/run-folder.ts';
import { type ContributionProgress, contributions } from '../simulation/contribution/contribute.ts';
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
  readonly coalitions?: number;
  readonly json?: true;
}

export function contributionCommand(): Command {
  return new Command('contribution')
    .description('what each owner added to a finished run that kept its updates; also into its report')
    .argument('<run>', 'run folder, of a run with federation.keepUpdates')
    .option('--rounds <n>', 'rounds to look at, evenly spaced', wholeNumber, 3)
    .option('--permutations <n>', 'of GTG-Shapley, in each round, at most', wholeNumber, 20)
    .option('--sample <n>', 'validation rows', wholeNumber, 50)
    .option(
      '--coalitions <n>',
      'scored at most, in all rounds together: bounds the time (default: 300, or for each owner to be first once)',
      wholeNumber,
    )
    .addOption(jsonOption())
    .action(contribution);
}

async function contribution(folder: string, options: ContributionCommandOptions): Promise<void> {
  const { rounds, permutations, sample, coalitions, json } = options;
  const display = createDisplay({ stream: process.stderr, nowMs: () => performance.now() });
  const stored = await openStoredRun(folder, display.onProgress).finally(display.stop);
  const onScored = progressTeller(process.stderr, () => performance.now());
  const found = await contributions(stored, { rounds, permutations, sample, coalitions, onScored });
  await writeFileAtomically(runPaths(folder).contribution, `${JSON.stringify(found, null, 2)}\n`);
  const report = await writeReport(folder);
  if (json) return void console.log(JSON.stringify(found, null, 2));
  console.log(renderTable(contributionTable(found)));
  for (const note of [contributionExtent(found), CONTRIBUTION_NOTE]) console.log(paint.dim(wrapped(note)));
  console.log(report);
}

const EVERY_MS = 5000;

/** A line every few seconds, and after each round; the time that is left is an upper bound. */
function progressTeller(stream: NodeJS.WriteStream, nowMs: () => number) {
  const begunMs = nowMs();
  let toldMs = begunMs;
  let rounds = 0;
  return ({ round, rounds: all, scored, left }: ContributionProgress) => {
    const now = nowMs();
    if (now - toldMs < EVERY_MS && round === rounds) return;
    [toldMs, rounds] = [now, round];
    const each = scored === 0 ? undefined : (now - begunMs) / scored;
    const speed = each === undefined ? '' : `, ${formatDuration(each)} each`;
    const more =
      left === 0
        ? ''
        : `; at most ${left} more${each === undefined ? '' : `, ${formatDuration(each * left)}`}`;
    stream.write(`${round} of ${all} rounds: ${scored} coalitions scored${speed}${more}\n`);
  };
}
