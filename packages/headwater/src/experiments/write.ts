/**
 * The experiment's folder: `experiment.yaml` as it was given, `results.json`, `summary.csv` (a row an arm), `cells.csv` (a row
 * a run), `report.html`, and the runs below `cells/`. All but the runs are made again each time.
 */

import { join } from 'node:path';
import { makeFolder } from '../base/make-folder-node.ts';
import { renderHtml } from '../report/html.ts';
import { writeFileAtomically } from '../storage/atomic-file.ts';
import type { Comparison } from './comparison.ts';
import { experimentPage } from './page.ts';
import type { StoredCell } from './stored.ts';
import { cellsCsv, summaryCsv } from './table.ts';

export interface ExperimentFiles {
  readonly report: string;
  readonly results: string;
  readonly summary: string;
  readonly cells: string;
}

/** Throws STORAGE_FAILED. */
export async function writeExperiment(
  folder: string,
  comparison: Comparison,
  cells: readonly StoredCell[],
  source: string,
): Promise<ExperimentFiles> {
  const files = {
    report: join(folder, 'report.html'),
    results: join(folder, 'results.json'),
    summary: join(folder, 'summary.csv'),
    cells: join(folder, 'cells.csv'),
  };
  await makeFolder(folder);
  await writeFileAtomically(join(folder, 'experiment.yaml'), source);
  await writeFileAtomically(files.results, `${JSON.stringify(comparison, null, 2)}\n`);
  await writeFileAtomically(files.summary, summaryCsv(comparison));
  await writeFileAtomically(files.cells, cellsCsv(comparison));
  await writeFileAtomically(files.report, renderHtml(experimentPage(comparison, cells, source)));
  return files;
}
