/** What the folders of an experiment hold: the runs of its cells, as far as they have come. Reads journals, writes nothing. */

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { HeadwaterError } from '../base/errors.ts';
import type { RunEvent } from '../federation/events.ts';
import { type Metric, metricsOf } from '../runs/metrics.ts';
import { type Provenance, recipeDifferences } from '../runs/provenance.ts';
import { type RunResults, resultsOf } from '../runs/results.ts';
import { readEvents, runPaths } from '../runs/run-folder.ts';
import type { Cell } from './load.ts';

/** A cell that has begun. */
export interface StoredCell {
  readonly arm: string;
  readonly seed: number;
  readonly results: RunResults;
  readonly metrics: readonly Metric[];
  readonly dataDigest: string;
  readonly modelDigest: string;
}

/** Undefined when the cell has not begun. Throws RUN_CORRUPT. */
export async function storedCell(out: string, { arm, seed, folder }: Cell): Promise<StoredCell | undefined> {
  const events = await eventsIn(join(out, folder));
  if (events.length === 0) return undefined;
  const { dataDigest, modelDigest } = provenanceOf(events);
  return { arm, seed, results: resultsOf(events), metrics: metricsOf(events), dataDigest, modelDigest };
}

/** Cells whose folder holds a run of another recipe, with the keys that differ. */
export async function changedCells(
  out: string,
  cells: readonly Cell[],
): Promise<{ readonly cell: Cell; readonly keys: readonly string[] }[]> {
  const changed: { cell: Cell; keys: string[] }[] = [];
  for (const cell of cells) {
    const events = await eventsIn(join(out, cell.folder));
    if (events.length === 0) continue;
    const kept = provenanceOf(events).recipe;
    // Classes of a fresh head are found when a run begins.
    const labels = cell.recipe.labels ?? kept.labels;
    const recipe = labels === undefined ? cell.recipe : { ...cell.recipe, labels };
    const keys = recipeDifferences(kept, recipe);
    if (keys.length > 0) changed.push({ cell, keys });
  }
  return changed;
}

/** Throws RUN_EXISTS: what is stored is never mixed with something else. */
export async function refuseChanged(out: string, cells: readonly Cell[]): Promise<void> {
  const changed = await changedCells(out, cells);
  if (changed.length === 0) return;
  const lines = changed.map(({ cell, keys }) => `  ${cell.folder}: ${keys.join(', ')}`);
  throw new HeadwaterError(
    'RUN_EXISTS',
    `${changed.length === 1 ? 'a stored cell was' : `${changed.length} stored cells were`} run with other settings\n${lines.join('\n')}`,
    {
      where: out,
      hint: 'Undo the change, choose another folder with --out, or run these cells anew with --force, which deletes what they hold.',
    },
  );
}

async function eventsIn(folder: string): Promise<RunEvent[]> {
  return existsSync(runPaths(folder).journal) ? readEvents(folder) : [];
}

function provenanceOf(events: readonly RunEvent[]): Provenance {
  return (events[0] as { provenance: Provenance }).provenance;
}
