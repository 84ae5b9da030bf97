/** A run folder → its `report.html`. Reads the journal only, so it works for running, stopped and finished runs. */

import { HeadwaterError } from '../base/errors.ts';
import { readContribution } from '../runs/contribution.ts';
import { metricsOf } from '../runs/metrics.ts';
import { resultsOf } from '../runs/results.ts';
import { readEvents, runPaths } from '../runs/run-folder.ts';
import { writeFileAtomically } from '../storage/atomic-file.ts';
import { contributionSections } from './contribution.ts';
import { reportPage } from './from-run.ts';
import { renderHtml } from './html.ts';

/** Returns the path of the report. Throws RUN_NOT_FOUND, RUN_CORRUPT, STORAGE_FAILED. */
export async function writeReport(folder: string, file = runPaths(folder).report): Promise<string> {
  const events = await readEvents(folder);
  if (events.length === 0)
    throw new HeadwaterError('RUN_NOT_FOUND', 'the run has not begun, there is nothing to report', {
      where: folder,
    });
  const page = reportPage(resultsOf(events), metricsOf(events));
  const sections = [...page.sections, ...contributionSections(await readContribution(folder))];
  await writeFileAtomically(file, renderHtml({ ...page, sections }));
  return file;
}
