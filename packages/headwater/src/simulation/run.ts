/**
 * The library's and the CLI's way in: a recipe in, a run folder out. Opens and closes things in the right order; what is
 * computed is decided by the rooms below.
 */

import { join, resolve } from 'node:path';
import { type Clock, systemClock } from '../base/clock.ts';
import { HeadwaterError } from '../base/errors.ts';
import type { RunEvent, Work } from '../federation/events.ts';
import { replay } from '../federation/machine.ts';
import type { RunState } from '../federation/state.ts';
import type { Pool } from '../jobs/pool.ts';
import { type PreparedRun, prepareRun } from '../jobs/prepare.ts';
import type { OnProgress } from '../jobs/progress.ts';
import { bindRecipeAttack, bindTuning, type RunRegistries } from '../jobs/records.ts';
import { resolveRecipe } from '../jobs/resolve-recipe.ts';
import { openWorkers } from '../jobs/workers.ts';
import type { Recipe, RecipeInput } from '../recipe/schema.ts';
import { recipeToYaml } from '../recipe/write.ts';
import { writeFigures } from '../runs/figures.ts';
import { eventsOf } from '../runs/journal-events.ts';
import { checkSameRun } from '../runs/provenance.ts';
import type { RunResults } from '../runs/results.ts';
import { checkRunFolder, type OpenRun, openRunFolder, runPaths } from '../runs/run-folder.ts';
import { createAdversaries } from './adversaries.ts';
import { beginOrResume, provenanceIn } from './begin.ts';
import { createGate } from './gate.ts';
import { perform } from './perform.ts';
import { drive } from './shell.ts';
import { trackProgress } from './track-progress.ts';

export interface RunOptions {
  /** Folder of the run; default `runs/<name>`. */
  readonly out?: string;
  /** Continue the run in the folder instead of starting one. */
  readonly resume?: boolean;
  /** `a.b=c` texts that change the recipe, when it is a file. */
  readonly overrides?: readonly string[];
  /** Plug-in modules beside those that the recipe names. */
  readonly plugins?: readonly string[];
  readonly onProgress?: OnProgress;
  /** Run programs that the model wrote even where they cannot be locked in. Default: evaluation tasks that need it are refused. */
  readonly allowCodeExecution?: boolean;
  /** Aborting stops cleanly with INTERRUPTED; the run can be continued. */
  readonly signal?: AbortSignal;
  readonly clock?: Clock;
}

export interface FinishedRun {
  readonly folder: string;
  /** PEFT folder, or a whole model for kinds that train one. */
  readonly resultFolder: string;
  readonly results: RunResults;
}

/**
 * Runs a recipe (a file, or an object) to its end. Throws HeadwaterError: mistakes of recipe, model and data before
 * anything is written; RUN_EXISTS, RUN_NOT_FOUND, RUN_LOCKED, RUN_CORRUPT, STORAGE_FAILED; ROUND_FAILED; CODE_EXECUTION_REFUSED; INTERRUPTED.
 */
export async function run(given: RecipeInput | string, options: RunOptions = {}): Promise<FinishedRun> {
  const { recipe, registries } = await resolveRecipe(given, options);
  refuseBuffered(recipe);
  const folder = resolve(options.out ?? join('runs', recipe.name));
  await checkRunFolder(folder, options.resume === true ? 'resume' : 'new');
  const prepared = await prepareRun(recipe, registries, options).catch((error) => {
    throw options.signal?.aborted === true ? stoppedEarly(error) : error;
  });
  if (options.signal?.aborted === true) throw stoppedEarly();
  const opened = await openRunFolder(folder, recipeToYaml(prepared.recipe));
  try {
    return await runInFolder(opened, prepared, registries, options);
  } catch (error) {
    throw await leaveTidy(error, opened);
  } finally {
    await opened.close();
  }
}

/** Virtual clients take turns: which of them is late says something about this machine, nothing about the recipe. */
export function refuseBuffered({ federation }: Recipe): void {
  if (federation.mode.kind !== 'buffered') return;
  throw new HeadwaterError(
    'RECIPE_INVALID',
    'federation.mode: a buffered run depends on the order in which clients answer, which has no meaning in a simulation',
    {
      hint: 'Run it with `headwater serve` and real clients, or simulate the synchronous one: --set federation.mode.kind=synchronous',
    },
  );
}

function stoppedEarly(cause?: unknown): HeadwaterError {
  return new HeadwaterError('INTERRUPTED', 'the run was stopped before it began; nothing was written', {
    cause,
  });
}

async function runInFolder(
  opened: OpenRun,
  prepared: PreparedRun,
  registries: RunRegistries,
  options: RunOptions,
): Promise<FinishedRun> {
  const { journal, folder, begun } = opened;
  const clock = options.clock ?? systemClock;
  const resultFolder = runPaths(folder)[trainsWholeModel(prepared, registries) ? 'model' : 'adapter'];
  if (begun && replay(await eventsOf(journal)).status === 'finished') {
    checkSameRun(await provenanceIn(journal), prepared, folder);
    return { folder, resultFolder, results: await writeFigures(opened) };
  }
  const pool = openWorkers(prepared, runPaths(folder).blobs, clock);
  try {
    await driveWith(pool, { opened, prepared, registries, options, clock, resultFolder });
  } finally {
    await pool.close();
  }
  const results = await writeFigures(opened);
  options.onProgress?.({ type: 'published', folder: resultFolder });
  return { folder, resultFolder, results };
}

interface Parts {
  readonly opened: OpenRun;
  readonly prepared: PreparedRun;
  readonly registries: RunRegistries;
  readonly options: RunOptions;
  readonly clock: Clock;
  readonly resultFolder: string;
}

async function driveWith(pool: Pool, parts: Parts): Promise<void> {
  const { opened, prepared, registries, options, clock, resultFolder } = parts;
  const { recipe, heldOut } = prepared;
  const plan = await beginOrResume(opened, prepared, registries, pool, clock);
  // One worker stays free for the rounds; afterwards all serve baselines and tests.
  const background = createGate(pool.size - 1);
  const openGate = ({ open }: RunState) => {
    if (open === undefined) background.setLimit(Number.POSITIVE_INFINITY);
  };
  const start = replay(await eventsOf(opened.journal));
  openGate(start);
  const { attack } = plan;
  const adversaries = attack && {
    ...createAdversaries(attack, start),
    sees: bindRecipeAttack(recipe, registries)?.sees,
  };
  const performer = { pool, plan, recipe, heldOut, adversaries, background, exportFolder: resultFolder };
  const track = await trackProgress(options.onProgress, performer, opened);
  await drive({
    journal: opened.journal,
    blobs: opened.blobs,
    clock,
    signal: options.signal,
    perform: async (work: Work) =>
      withMemory(await perform(performer, work, (report) => track.step(work, report))),
    onEvent(work, event, state) {
      track.done(work, event, state);
      openGate(state);
      adversaries?.observe(state);
    },
  });
}

/** The most memory that this process (all workers are its threads) has held so far. */
function withMemory(event: RunEvent): RunEvent {
  const peakRssBytes = 1024 * process.resourceUsage().maxRSS;
  return { ...event, observed: { ...(event.observed as object | undefined), peakRssBytes } };
}

/** What stopped early has figures too; where the journal holds something, the error says how to go on. */
async function leaveTidy(error: unknown, opened: OpenRun): Promise<unknown> {
  if (!(error instanceof HeadwaterError) || opened.journal.lastSeq === 0) return error;
  const { code, message, where, hint } = error;
  if (code === 'INTERRUPTED' || code === 'ROUND_FAILED') await writeFigures(opened);
  if (code !== 'STORAGE_FAILED' && code !== 'RUNTIME_FAILED') return error;
  return new HeadwaterError(code, message, {
    hint: `${hint === undefined ? '' : `${hint} `}The run is kept: continue it with --resume.`,
    ...(where === undefined ? {} : { where }),
    cause: error,
  });
}

function trainsWholeModel({ recipe, model }: PreparedRun, registries: RunRegistries): boolean {
  return bindTuning(recipe, model.definition, registries).adapterConfig() === undefined;
}
