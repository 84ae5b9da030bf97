/** The result folder of a deployed run, beside the adapter: recipe, figures and report, all from its events. */

import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { makeFolder } from '../../base/make-folder-node.ts';
import { siblingModule } from '../../base/sibling.ts';
import type { RunEvent } from '../../federation/events.ts';
import type { Recipe } from '../../recipe/schema.ts';
import { recipeToYaml } from '../../recipe/write.ts';
import { reportPage } from '../../report/from-run.ts';
import { renderHtml } from '../../report/html.ts';
import { metricsOf, metricsText } from '../../runs/metrics.ts';
import { resultsOf } from '../../runs/results.ts';
import { runPaths } from '../../runs/run-folder.ts';
import { writeFileAtomically } from '../../storage/atomic-file.ts';

export interface RunToReport {
  readonly folder: string;
  readonly recipe: Recipe;
  readonly events: readonly RunEvent[];
}

/** Replaying more than this would keep clients of other runs waiting. */
const MOST_EVENTS_HERE = 500;

/** Nothing for a run that never began. Throws STORAGE_FAILED; what fails in another thread is a plain Error. */
export async function reportRun(run: RunToReport): Promise<void> {
  if (run.events.length <= MOST_EVENTS_HERE) return writeRunReport(run);
  const worker = new Worker(siblingModule(import.meta.url, './run-report-worker'), { workerData: run });
  await once(worker, 'exit');
}

export async function writeRunReport({ folder, recipe, events }: RunToReport): Promise<void> {
  if (events.length === 0) return;
  const paths = runPaths(folder);
  await makeFolder(folder);
  const results = resultsOf(events);
  const metrics = metricsOf(events);
  await writeFileAtomically(paths.recipe, recipeToYaml(recipe));
  await writeFileAtomically(paths.metrics, metricsText(metrics));
  await writeFileAtomically(paths.results, `${JSON.stringify(results, null, 2)}\n`);
  await writeFileAtomically(paths.report, renderHtml(reportPage(results, metrics)));
}
