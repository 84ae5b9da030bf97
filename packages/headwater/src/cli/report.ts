/** `headwater report`: makes the report of a run again, or of a run that is still going on. */

import { Command } from 'commander';
import { writeReport } from '../report/write.ts';
import { resultsOf } from '../runs/results.ts';
import { readEvents } from '../runs/run-folder.ts';
import { jsonOption } from './options.ts';
import { printComparison } from './show-comparison.ts';

export function reportCommand(): Command {
  return new Command('report')
    .description('write report.html of a run again, also while it is running, and print the comparison')
    .argument('<folder>', 'run folder, for example runs/quickstart')
    .option('--out <file>', 'where to write (default: report.html in the run folder)')
    .addOption(jsonOption())
    .action(async (folder: string, { out, json }: { out?: string; json?: true }) => {
      const file = await writeReport(folder, out);
      const results = resultsOf(await readEvents(folder));
      if (json) console.log(JSON.stringify({ report: file, results }));
      else {
        printComparison(results);
        console.log(`\n${file}`);
      }
    });
}
