/**
 * The run folder: what lies where, who may write, what may be continued.
 *
 *   recipe.yaml      the resolved recipe         metrics.jsonl   one figure a line (see metrics.ts)
 *   journal.sqlite   every event, in order       results.json    the table and totals (see results.ts)
 *   blobs/           params and updates in use   adapter/        the result in PEFT format (model/ for whole models)
 */

import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { HeadwaterError } from '../base/errors.ts';
import { storageError } from '../base/io-errors.ts';
import { makeFolder } from '../base/make-folder-node.ts';
import type { RunEvent } from '../federation/events.ts';
import { writeFileAtomically } from '../storage/atomic-file.ts';
import type { Blobs } from '../storage/blobs.ts';
import { openFileBlobs } from '../storage/file-blobs.ts';
import type { Journal } from '../storage/journal.ts';
import { acquireRunLock } from '../storage/run-lock.ts';
import { openSqliteJournal } from '../storage/sqlite-journal.ts';
import { eventsOf } from './journal-events.ts';

export const runPaths = (folder: string) => ({
  recipe: join(folder, 'recipe.yaml'),
  journal: join(folder, 'journal.sqlite'),
  lock: join(folder, 'run.lock'),
  blobs: join(folder, 'blobs'),
  metrics: join(folder, 'metrics.jsonl'),
  results: join(folder, 'results.json'),
  adapter: join(folder, 'adapter'),
  model: join(folder, 'model'),
  report: join(folder, 'report.html'),
  contribution: join(folder, 'contribution.json'),
  coalitions: join(folder, 'coalitions.jsonl'),
});

export interface OpenRun {
  readonly folder: string;
  readonly journal: Journal;
  readonly blobs: Blobs;
  /** True when the journal already has events. */
  readonly begun: boolean;
  close(): Promise<void>;
}

/** `new`: the folder must hold no run. `resume`: it must hold one that was begun. */
export type OpenMode = 'new' | 'resume';

/**
 * The cheap check before anything slow. Throws RUN_EXISTS (a run, or files that are not ours, with `new`) or
 * RUN_NOT_FOUND (`resume`).
 */
export async function checkRunFolder(folder: string, mode: OpenMode): Promise<void> {
  const { journal } = runPaths(folder);
  const found = existsSync(journal);
  if (mode === 'resume' && !found)
    throw new HeadwaterError('RUN_NOT_FOUND', 'there is no run to continue', {
      where: folder,
      hint: 'Start it without --resume.',
    });
  if (mode === 'resume') return;
  if (found && (await readEvents(folder)).length > 0)
    throw new HeadwaterError('RUN_EXISTS', 'this folder already holds a run', {
      where: folder,
      hint: 'Continue it with --resume, choose another folder with --out, or delete this one.',
    });
  if (!found && existsSync(folder) && filesIn(folder).some((name) => !isLeftover(name)))
    throw new HeadwaterError('RUN_EXISTS', 'this folder holds other files', {
      where: folder,
      hint: 'Choose a new or empty folder with --out.',
    });
}

/** Opens (and makes) the folder for writing. Throws RUN_LOCKED, RUN_CORRUPT, STORAGE_FAILED. */
export async function openRunFolder(folder: string, recipeYaml: string): Promise<OpenRun> {
  const paths = runPaths(folder);
  await makeFolder(folder);
  const lock = acquireRunLock(paths.lock);
  try {
    const journal = openSqliteJournal(paths.journal);
    const begun = journal.lastSeq > 0;
    if (!begun) await writeFileAtomically(paths.recipe, recipeYaml);
    const close = async () => {
      await journal.close();
      lock.release();
    };
    return { folder, journal, blobs: await openFileBlobs(paths.blobs), begun, close };
  } catch (error) {
    lock.release();
    throw error;
  }
}

/** The journal of a run, also while it is being written. Throws RUN_NOT_FOUND, RUN_CORRUPT. */
export async function readEvents(folder: string): Promise<RunEvent[]> {
  const path = runPaths(folder).journal;
  if (!existsSync(path))
    throw new HeadwaterError('RUN_NOT_FOUND', 'there is no run in this folder', {
      where: folder,
      hint: 'Give the folder that `headwater run` wrote, for example runs/quickstart.',
    });
  const journal = openSqliteJournal(path, { readOnly: true });
  try {
    return await eventsOf(journal);
  } finally {
    await journal.close();
  }
}

/** What a start that failed before its first event may have left. */
function isLeftover(name: string): boolean {
  return ['recipe.yaml', 'run.lock'].includes(name) || /^(journal\.sqlite|recipe\.yaml)\..*tmp/.test(name);
}

function filesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch (cause) {
    throw storageError(cause, 'read the run folder', folder);
  }
}
