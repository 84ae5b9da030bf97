/** `headwater report`: makes the report of a run again, or of a run that is still going on; TensorBoard files on demand. */

import { Command } from 'commander';
import { HeadwaterError } from '../base/errors.ts';
import { exportTensorboard, isExperimentFolder } from '../experiments/tensorboard.ts';
import { writeReport } from '../report/write.ts';
import { resultsOf } from '../runs/results.ts';
import { readEvents } from '../runs/run-folder.ts';
import { jsonOption } from './options.ts';
import { printComparison } from './show-comparison.ts';

interface ReportOptions {
  readonly out?: string;
  readonly tensorboard?: string;
  readonly json?: true;
}

export function reportCommand(): Command {
  return new Command('report')
    .description('write report.html of a run again, also while it is running, and print the comparison')
    .argument(
      '<folder>',
      'run folder, for example runs/quickstart; with --tensorboard also that of an experiment',
    )
    .option('--out <file>', 'where to write (default: report.html in the run folder)')
    .option('--tensorboard <folder>', 'write event files for TensorBoard instead')
    .addOption(jsonOption())
    .action(report);
}

async function report(folder: string, { out, tensorboard, json }: ReportOptions): Promise<void> {
  if (tensorboard !== undefined) {
    const files = await exportTensorboard(folder, tensorboard);
    if (json) console.log(JSON.stringify({ files }));
    else for (const file of files) console.log(file);
    return;
  }
  if (isExperimentFolder(folder))
    throw new HeadwaterError('OPTION_INVALID', 'this is the folder of an experiment, not of a run', {
      where: folder,
      hint: 'The `headwater compare` command that made it makes its report again; --tensorboard exports its runs.',
    });
  const file = await writeReport(folder, out);
  const results = resultsOf(await readEvents(folder));
  if (json) console.log(JSON.stringify({ report: file, results }));
  else {
    printComparison(results);
    console.log(`\n${file}`);
  }
}
