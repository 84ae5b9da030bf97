/** The result folder of a deployed run, beside the adapter: recipe, figures and report, all from its events. */

import { makeFolder } from '../base/make-folder-node.ts';
import type { RunEvent } from '../federation/events.ts';
import type { Recipe } from '../recipe/schema.ts';
import { recipeToYaml } from '../recipe/write.ts';
import { reportPage } from '../report/from-run.ts';
import { renderHtml } from '../report/html.ts';
import { metricsOf, metricsText } from '../runs/metrics.ts';
import { resultsOf } from '../runs/results.ts';
import { runPaths } from '../runs/run-folder.ts';
import { writeFileAtomically } from '../storage/atomic-file.ts';

/** Nothing for a run that never began. Throws STORAGE_FAILED. */
export async function writeRunReport(
  folder: string,
  recipe: Recipe,
  events: readonly RunEvent[],
): Promise<void> {
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
