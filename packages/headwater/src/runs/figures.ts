/** metrics.jsonl and results.json of a run folder, made from the journal alone: written again they are the same. */

import { writeFileAtomically } from '../storage/atomic-file.ts';
import { eventsOf } from './journal-events.ts';
import { metricsOf, metricsText } from './metrics.ts';
import { type RunResults, resultsOf } from './results.ts';
import { type OpenRun, runPaths } from './run-folder.ts';

export async function writeFigures({ journal, folder }: OpenRun): Promise<RunResults> {
  const events = await eventsOf(journal);
  const paths = runPaths(folder);
  const results = resultsOf(events);
  await writeFileAtomically(paths.metrics, metricsText(metricsOf(events)));
  await writeFileAtomically(paths.results, `${JSON.stringify(results, null, 2)}\n`);
  return results;
}
