/**
 * Runs the cells of an experiment one after the other, each an ordinary run over the worker pool in a folder of its own, and
 * writes table and report from what is stored. What is finished is not run again; what was interrupted is continued.
 */

import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { HeadwaterError } from '../base/errors.ts';
import type { OnProgress } from '../jobs/progress.ts';
import { runPaths } from '../runs/run-folder.ts';
import { run } from '../simulation/run.ts';
import type { Comparison } from './comparison.ts';
import { type Cell, type LoadedExperiment, type LoadOptions, loadExperiment } from './load.ts';
import { type Estimates, preflight } from './preflight.ts';
import { changedCells, refuseChanged, type StoredCell, storedCell } from './stored.ts';
import { compareCells } from './summary.ts';
import { type ExperimentFiles, writeExperiment } from './write.ts';

export interface CompareOptions extends LoadOptions {
  /** Default `experiments/<name>`. */
  readonly out?: string;
  /** Deletes the run of a cell whose recipe has changed. Absent: such cells are refused. */
  readonly remove?: (folder: string) => Promise<void>;
  readonly onCell?: (progress: CellProgress) => void;
  readonly onProgress?: OnProgress;
  readonly signal?: AbortSignal;
}

export interface CellProgress {
  readonly type: 'begins' | 'stored' | 'failed';
  readonly cell: Cell;
  /** From 1. */
  readonly position: number;
  readonly count: number;
  /** Why it failed. */
  readonly reason?: string;
}

export interface ComparedExperiment {
  readonly folder: string;
  readonly comparison: Comparison;
  readonly files: ExperimentFiles;
}

/** Errors of one cell; others say something about all of them. */
const OF_THE_CELL = new Set(['ROUND_FAILED', 'TRAINING_DIVERGED']);

/**
 * Throws what loading and preparing throw, before anything starts; RUN_EXISTS; INTERRUPTED after the table of what is stored
 * has been written. A cell that fails is told in the table, and the others go on.
 */
export async function compareExperiment(
  file: string,
  options: CompareOptions = {},
): Promise<ComparedExperiment> {
  const loaded = await loadExperiment(file, options);
  const out = resolve(options.out ?? join('experiments', loaded.experiment.name));
  const estimates = await preflight(loaded.cells, loaded.registries, options);
  if (options.remove === undefined) await refuseChanged(out, loaded.cells);
  else
    for (const { cell } of await changedCells(out, loaded.cells))
      await options.remove(join(out, cell.folder));
  try {
    await runCells(out, loaded, options);
  } catch (error) {
    if (error instanceof HeadwaterError && error.code === 'INTERRUPTED')
      await writeStored(out, loaded, estimates);
    throw error;
  }
  return writeStored(out, loaded, estimates);
}

async function runCells(out: string, { cells }: LoadedExperiment, options: CompareOptions): Promise<void> {
  const tell = options.onCell ?? (() => undefined);
  for (const [i, cell] of cells.entries()) {
    const progress = { cell, position: i + 1, count: cells.length };
    const known = await storedCell(out, cell);
    if (known?.results.status === 'finished') {
      tell({ type: 'stored', ...progress });
      continue;
    }
    // A round that could not be closed stays so: the journal says what happened.
    if (known?.results.status === 'failed') {
      tell({ type: 'failed', ...progress, reason: known.results.failure ?? 'the run failed' });
      continue;
    }
    tell({ type: 'begins', ...progress });
    const reason = await runCell(join(out, cell.folder), cell, options);
    if (reason !== undefined) tell({ type: 'failed', ...progress, reason });
  }
}

/** Why it failed, or undefined. */
async function runCell(
  folder: string,
  { recipe }: Cell,
  { onProgress, signal }: CompareOptions,
): Promise<string | undefined> {
  try {
    await run(recipe, {
      out: folder,
      resume: existsSync(runPaths(folder).journal),
      ...(onProgress === undefined ? {} : { onProgress }),
      ...(signal === undefined ? {} : { signal }),
    });
    return undefined;
  } catch (error) {
    if (error instanceof HeadwaterError && OF_THE_CELL.has(error.code)) return error.message;
    throw error;
  }
}

async function writeStored(
  out: string,
  { experiment, source, arms, cells }: LoadedExperiment,
  estimates: Estimates,
): Promise<ComparedExperiment> {
  const stored: StoredCell[] = [];
  for (const cell of cells) {
    const found = await storedCell(out, cell);
    if (found !== undefined) stored.push(found);
  }
  const names = arms.map(({ name }) => name);
  const comparison = compareCells({ experiment, arms: names, cells: stored, estimates });
  const files = await writeExperiment(out, comparison, stored, source);
  return { folder: out, comparison, files };
}
