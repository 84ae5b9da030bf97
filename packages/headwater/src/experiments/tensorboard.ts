/** A run, or every run of an experiment, as TensorBoard event files: a folder a run, named as the cell is. */

import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { HeadwaterError } from '../base/errors.ts';
import { scalarsOf } from '../report/scalars.ts';
import { writeEventFile } from '../report/tensorboard.ts';
import { readEvents, runPaths } from '../runs/run-folder.ts';

/** True for a folder that `headwater compare` wrote. */
export function isExperimentFolder(folder: string): boolean {
  return existsSync(join(folder, 'experiment.yaml')) && !existsSync(runPaths(folder).journal);
}

/** Returns the files written. Throws RUN_NOT_FOUND, RUN_CORRUPT, STORAGE_FAILED. */
export async function exportTensorboard(folder: string, out: string): Promise<string[]> {
  const names = isExperimentFolder(folder) ? cellNames(folder) : [''];
  const files: string[] = [];
  for (const name of names) {
    const events = await readEvents(name === '' ? folder : join(folder, 'cells', name));
    if (events.length > 0) files.push(await writeEventFile(join(out, name), scalarsOf(events)));
  }
  if (files.length > 0) return files;
  throw new HeadwaterError('RUN_NOT_FOUND', 'no run has begun here, there is nothing to export', {
    where: folder,
  });
}

/** `ARM/seed-N` of every cell that has a journal. */
function cellNames(folder: string): string[] {
  const cells = join(folder, 'cells');
  if (!existsSync(cells)) return [];
  return readdirSync(cells)
    .sort()
    .flatMap((arm) =>
      readdirSync(join(cells, arm))
        .sort()
        .map((seed) => join(arm, seed)),
    )
    .filter((name) => existsSync(runPaths(join(cells, name)).journal));
}
