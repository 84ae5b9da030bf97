/**
 * The library's and the CLI's way in: a recipe in, a run folder out. Opens and closes things in the right order; what is
 * computed is decided by the rooms below.
 */

import { availableParallelism } from 'node:os';
import { join, resolve } from 'node:path';
import { Worker } from 'node:worker_threads';
import { type Clock, systemClock } from '../base/clock.ts';
import { HeadwaterError } from '../base/errors.ts';
import { siblingModule } from '../base/sibling.ts';
import type { RunEvent, Work } from '../federation/events.ts';
import { replay } from '../federation/machine.ts';
import { bindMethod } from '../federation/method.ts';
import { createPlan, type RunPlan } from '../federation/plan.ts';
import type { RunState } from '../federation/state.ts';
import { loadRecipe, pluginsNamedBy } from '../recipe/load-node.ts';
import type { Recipe } from '../recipe/schema.ts';
import { recipeToYaml } from '../recipe/write.ts';
import { writeFileAtomically } from '../storage/atomic-file.ts';
import type { Journal, Json } from '../storage/journal.ts';
import { planArms } from './baselines.ts';
import { describeEnvironment } from './environment.ts';
import { createGate } from './gate.ts';
import { metricsOf, metricsText } from './metrics.ts';
import { perform } from './perform.ts';
import { createPool, type Pool } from './pool.ts';
import { type PreparedRun, prepareRun } from './prepare.ts';
import type { OnProgress } from './progress.ts';
import { checkSameRun, type Provenance, provenanceOf } from './provenance.ts';
import { type RunRegistries, recordOf, registriesWith } from './records.ts';
import { type RunResults, resultsOf } from './results.ts';
import { checkRunFolder, type OpenRun, openRunFolder, runPaths } from './run-folder.ts';
import { shareExamples } from './shared-examples.ts';
import { drive, interrupted } from './shell.ts';
import { trackProgress } from './track-progress.ts';
import type { SharedHeldOut, WorkerInit } from './worker.ts';

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
 * Runs a recipe (a file, or a recipe with absolute paths) to its end. Throws HeadwaterError: mistakes of recipe, model and
 * data before anything is written; RUN_EXISTS, RUN_NOT_FOUND, RUN_LOCKED, RUN_CORRUPT, STORAGE_FAILED; ROUND_FAILED;
 * INTERRUPTED.
 */
export async function run(recipe: Recipe | string, options: RunOptions = {}): Promise<FinishedRun> {
  const { resolved, registries } = await resolveRecipe(recipe, options);
  const folder = resolve(options.out ?? join('runs', resolved.name));
  const mode = options.resume === true ? 'resume' : 'new';
  checkRunFolder(folder, mode);
  const prepared = await prepareRun(resolved, registries, options.onProgress);
  if (options.signal?.aborted === true) throw interrupted();
  const opened = await openRunFolder(folder, recipeToYaml(resolved));
  try {
    return await runInFolder(opened, prepared, registries, options);
  } finally {
    opened.close();
  }
}

async function resolveRecipe(
  recipe: Recipe | string,
  { overrides = [], plugins = [] }: RunOptions,
): Promise<{ readonly resolved: Recipe; readonly registries: RunRegistries }> {
  const more = plugins.map((file) => resolve(file));
  if (typeof recipe !== 'string') {
    const resolved = { ...recipe, plugins: [...new Set([...recipe.plugins, ...more])] };
    return { resolved, registries: await registriesWith(resolved.plugins) };
  }
  const all = [...new Set([...(await pluginsNamedBy(recipe, overrides)), ...more])];
  const registries = await registriesWith(all);
  const loaded = await loadRecipe(recipe, { registries, overrides });
  return { resolved: { ...loaded, plugins: all }, registries };
}

async function runInFolder(
  opened: OpenRun,
  prepared: PreparedRun,
  registries: RunRegistries,
  options: RunOptions,
): Promise<FinishedRun> {
  const { journal, blobs, folder, begun } = opened;
  const clock = options.clock ?? systemClock;
  const { recipe } = prepared;
  const resultFolder = runPaths(folder)[trainsWholeModel(prepared, registries) ? 'model' : 'adapter'];
  if (begun && replay(eventsOf(journal)).status === 'finished') {
    checkSameRun(provenanceIn(journal), prepared, folder);
    return { folder, resultFolder, results: await writeFigures(opened) };
  }
  const init = workerInit(prepared, folder);
  const pool = createPool(workerCount(recipe, prepared), () => spawnWorker(init), clock);
  try {
    const plan = await beginOrResume(opened, prepared, registries, pool, clock);
    // One worker stays free for the rounds; afterwards all serve baselines and tests.
    const background = createGate(pool.size - 1);
    const { heldOut } = prepared;
    const performer = { pool, plan, recipe, heldOut, background, exportFolder: resultFolder };
    const openGate = ({ open }: RunState) =>
      open === undefined && background.setLimit(Number.POSITIVE_INFINITY);
    openGate(replay(eventsOf(journal)));
    const track = trackProgress(options.onProgress, performer, opened);
    await drive({
      journal,
      blobs,
      clock,
      signal: options.signal,
      perform: async (work: Work) =>
        withMemory(await perform(performer, work, (report) => track.step(work, report))),
      onEvent(work, event, state) {
        track.done(work, event, state);
        openGate(state);
      },
    });
  } catch (error) {
    throw continuable(error);
  } finally {
    await pool.close();
  }
  const results = await writeFigures(opened);
  options.onProgress?.({ type: 'published', folder: resultFolder });
  return { folder, resultFolder, results };
}

/** The most memory that this process (all workers are its threads) has held so far. */
function withMemory(event: RunEvent): RunEvent {
  const peakRssBytes = 1024 * process.resourceUsage().maxRSS;
  return { ...event, observed: { ...(event.observed as object | undefined), peakRssBytes } };
}

/** The disk was full, a worker died: what the journal holds is not lost. */
function continuable(error: unknown): unknown {
  if (!(error instanceof HeadwaterError) || !['STORAGE_FAILED', 'RUNTIME_FAILED'].includes(error.code))
    return error;
  const { code, message, where, hint } = error;
  return new HeadwaterError(code, message, {
    hint: `${hint === undefined ? '' : `${hint} `}The run is kept: continue it with --resume.`,
    ...(where === undefined ? {} : { where }),
    cause: error,
  });
}

/** metrics.jsonl and results.json, made from the journal alone. */
async function writeFigures({ journal, folder }: OpenRun): Promise<RunResults> {
  const events = eventsOf(journal);
  const paths = runPaths(folder);
  const results = resultsOf(events);
  await writeFileAtomically(paths.metrics, metricsText(metricsOf(events)));
  await writeFileAtomically(paths.results, `${JSON.stringify(results, null, 2)}\n`);
  return results;
}

async function beginOrResume(
  { journal, begun, folder }: OpenRun,
  prepared: PreparedRun,
  registries: RunRegistries,
  pool: Pool,
  clock: Clock,
): Promise<RunPlan> {
  const append = (event: RunEvent) =>
    journal.append(
      [{ ...event, observed: { endedMs: clock.nowMs(), tookMs: 0 } } as unknown as Json],
      journal.lastSeq,
    );
  if (begun) {
    checkSameRun(provenanceIn(journal), prepared, folder);
    append({ type: 'resumed' });
    return createdEvent(journal).plan;
  }
  const plan = await planRun(prepared, registries, pool);
  append({ type: 'created', plan, provenance: provenanceOf(prepared, describeEnvironment()) });
  return plan;
}

function eventsOf(journal: Journal): RunEvent[] {
  return journal.readAll().map(({ event }) => event as unknown as RunEvent);
}

function createdEvent(journal: Journal): Extract<RunEvent, { type: 'created' }> {
  return eventsOf(journal)[0] as Extract<RunEvent, { type: 'created' }>;
}

function provenanceIn(journal: Journal): Provenance {
  return createdEvent(journal).provenance as Provenance;
}

async function planRun(
  { recipe, owners, modelDigest, heldOut }: PreparedRun,
  registries: RunRegistries,
  pool: Pool,
): Promise<RunPlan> {
  const { federation, seed, baselines, evaluation } = recipe;
  const { record, options } = recordOf(registries.methods, federation.method);
  const { result: init } = await pool.run({ kind: 'init', seed, adapter: recipe.adapter ?? null }, 0);
  const { rounds, localSteps, weighting, serverLearningRate, fixedPoint, keepBest } = federation;
  const cohortSize = federation.cohortSize ?? owners.length;
  const budget = { owners: owners.map(({ owner }) => owner), rounds, cohortSize, localSteps, ...baselines };
  return createPlan(
    {
      seed,
      owners,
      tensors: init.tensors,
      baseModel: modelDigest,
      initialParams: init.params,
      method: federation.method,
      rounds,
      cohortSize,
      quorum: federation.quorum,
      localSteps,
      weighting,
      serverLearningRate,
      fixedPoint,
      earlyStopping: federation.earlyStopping ?? null,
      keepBest,
      arms: planArms(budget),
      validateEveryRounds: heldOut.validation === undefined ? 0 : evaluation.everyRounds,
      test: heldOut.test !== undefined,
    },
    bindMethod(record, options),
  );
}

function workerCount(
  { workers, threadsPerSession, federation, baselines }: Recipe,
  { owners }: PreparedRun,
): number {
  if (workers !== 'auto') return workers;
  const useful = (federation.cohortSize ?? owners.length) + (baselines.localOnly ? owners.length : 0) + 1;
  return Math.max(1, Math.min(useful, Math.floor(availableParallelism() / threadsPerSession)));
}

function trainsWholeModel({ recipe, model }: PreparedRun, registries: RunRegistries): boolean {
  const { record, options } = recordOf(registries.tuningKinds, recipe.tuning);
  return record.bind(options, model.definition).adapterConfig() === undefined;
}

function workerInit({ recipe, model, train, heldOut }: PreparedRun, folder: string): WorkerInit {
  const shared: Partial<Record<'validation' | 'test', SharedHeldOut>> = {};
  for (const split of ['validation', 'test'] as const) {
    const set = heldOut[split];
    if (set !== undefined) shared[split] = { pieces: shareExamples(set.pieces), owners: set.pieceOwner };
  }
  return { recipe, modelFolder: model.folder, blobFolder: runPaths(folder).blobs, train, heldOut: shared };
}

function spawnWorker(workerData: WorkerInit): Worker {
  return new Worker(siblingModule(import.meta.url, './worker'), { workerData });
}
