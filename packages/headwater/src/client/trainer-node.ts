/**
 * Training and scoring on the owner's examples by the same jobs, in the same kind of worker, as a simulation: the same bits.
 * Params and updates pass through a folder of this client; text never leaves this process.
 */

import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { systemClock } from '../base/clock.ts';
import { assert, HeadwaterError } from '../base/errors.ts';
import { formatBytes } from '../base/format.ts';
import { storageError } from '../base/io-errors.ts';
import type { OwnerScores } from '../federation/events.ts';
import type { OwnerCounts } from '../federation/plan.ts';
import { exampleTraining } from '../jobs/example-privacy.ts';
import { ownNoise } from '../jobs/own-noise.ts';
import type { Pool } from '../jobs/pool.ts';
import type { PreparedRun } from '../jobs/prepare.ts';
import type { RunRegistries } from '../jobs/records.ts';
import { answerSet } from '../jobs/scoring.ts';
import { trainingCost } from '../jobs/training-cost.ts';
import { trainingOptions } from '../jobs/training-options.ts';
import { openWorkers } from '../jobs/workers.ts';
import { quorumOf } from '../recipe/pace.ts';
import type { Blobs } from '../storage/blobs.ts';
import { openFileBlobs } from '../storage/file-blobs.ts';
import type { StepReport } from '../training/engine.ts';
import { interrupted } from './failures.ts';
import { isBeforeTraining, maxParamsBytes, ownerScores } from './owner-figures.ts';
import type { EvaluateTask, Trainer, TrainTask } from './ports.ts';

export interface TrainerOptions {
  readonly prepared: PreparedRun;
  readonly registries: RunRegistries;
  readonly owner: string;
  /** Emptied at the beginning: nothing in it is needed after a crash. */
  readonly workFolder: string;
  /** Of this process. */
  readonly maxMemoryBytes?: number | undefined;
  readonly onStep?: (report: StepReport) => void;
}

export interface NodeTrainer extends Trainer {
  /** Writes params as a PEFT folder, or a model folder where whole models are trained. Throws STORAGE_FAILED. */
  exportParams(params: Uint8Array, folder: string): Promise<void>;
}

/** Throws STORAGE_FAILED. */
export async function openTrainer(options: TrainerOptions): Promise<NodeTrainer> {
  const { prepared, owner, workFolder } = options;
  const counts = prepared.owners.find((entry) => entry.owner === owner);
  assert(counts !== undefined, 'the owner has been prepared');
  const folder = join(workFolder, 'blobs');
  await rm(folder, { recursive: true, force: true }).catch((cause) => {
    throw storageError(cause, 'empty the work folder', folder);
  });
  const blobs = await openFileBlobs(folder);
  const pool = openWorkers(prepared, folder, systemClock);
  const { validation, test } = prepared.heldOut;
  const bench: Bench = { ...options, blobs, pool, counts };
  // A training that was given up computes on for a while: the next one begins behind it.
  let last: Promise<unknown> = Promise.resolve();
  const inTurn = <T>(signal: AbortSignal, act: () => Promise<T>): Promise<T> => {
    const turn = last.then(act, act);
    last = turn;
    return stoppable(signal, turn);
  };
  return {
    counts: {
      numExamples: counts.numExamples,
      numTokens: counts.numTokens,
      heldOut: { validation: validation?.examples.length ?? 0, test: test?.examples.length ?? 0 },
    },
    maxParamsBytes: maxParamsBytes(prepared.recipe, prepared.model, options.registries),
    trainingCost: trainingCost(prepared.recipe, counts),
    train: (task, params, kept, signal, rest) => inTurn(signal, () => train(bench, task, params, kept, rest)),
    rest: (round) => freshRest(bench, round),
    evaluate: (task, params, kept, signal) => inTurn(signal, () => evaluate(bench, task, params, kept)),
    exportParams: (params, place) =>
      clean(blobs, async () => {
        const job = { kind: 'export', params: await blobs.put(params), folder: place } as const;
        await pool.run(job, 0);
      }),
    close: () => pool.close(),
  };
}

interface Bench extends TrainerOptions {
  readonly counts: OwnerCounts;
  readonly blobs: Blobs;
  readonly pool: Pool;
}

async function train(
  bench: Bench,
  task: TrainTask,
  params: Uint8Array,
  kept: Uint8Array | undefined,
  rest: Uint8Array | undefined,
): ReturnType<Trainer['train']> {
  const { blobs, pool, owner, prepared } = bench;
  const { seed } = prepared.recipe;
  const { round } = task;
  const options = {
    ...trainingOptions(prepared.recipe, task, [seed, owner, round, 'train']),
    ...exampleTraining(prepared.recipe, bench.counts, 'secret'),
  };
  return clean(blobs, async () => {
    const personal = kept === undefined ? null : await blobs.put(kept);
    const job = {
      kind: 'train-client',
      seed,
      round,
      owner,
      params: await blobs.put(params),
      rest: rest === undefined ? null : await blobs.put(rest),
      personal,
      options,
      clipNorm: task.clipNorm,
      ownNoise: ownNoise(prepared.recipe, quorumOf(prepared.recipe), task.masking, 'secret'),
    } as const;
    const run = pool.run(job, 0, (report) => bench.onStep?.(report));
    const { result } = await withinMemory(bench, run);
    return {
      update: await blobs.get(result.update),
      kept: result.personal === null ? undefined : await blobs.get(result.personal),
      stats: result.stats,
    };
  });
}

/** From the run's seed, as the coordinator makes them; the tensors that do not travel in this round. */
function freshRest({ blobs, pool, owner, prepared }: Bench, round: number): Promise<Uint8Array> {
  const { seed, adapter = null } = prepared.recipe;
  return clean(blobs, async () => {
    const { params } = (await pool.run({ kind: 'init', seed, adapter }, 0)).result;
    const job = { kind: 'cut', part: 'rest', params, seed, round, owner, withFile: true } as const;
    return (await pool.run(job, 0)).result.file!;
  });
}

async function evaluate(
  bench: Bench,
  { split, params: digest, evaluation }: EvaluateTask,
  params: Uint8Array,
  kept: Uint8Array | undefined,
): Promise<OwnerScores> {
  const { blobs, pool, owner, prepared } = bench;
  const set = prepared.heldOut[split];
  if (set === undefined) return { numExamples: 0, numTargets: 0, scores: {} };
  return clean(blobs, async () => {
    await blobs.put(params);
    const own = isBeforeTraining(evaluation) ? undefined : kept;
    const personal = own === undefined ? {} : { [owner]: await blobs.put(own) };
    const what = { split, params: digest.digest, personal };
    const { answers } = await withinMemory(bench, answerSet(pool, set, what, prepared.recipe, 0));
    return ownerScores(set, answers);
  });
}

/** What a task needed is not kept. */
async function clean<T>(blobs: Blobs, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } finally {
    for (const digest of await blobs.list()) await blobs.delete(digest);
  }
}

/** How often the memory is looked at while a worker computes. */
const LOOK_EVERY_MS = 500;

async function withinMemory<T>({ maxMemoryBytes, pool }: Bench, work: Promise<T>): Promise<T> {
  if (maxMemoryBytes === undefined) return work;
  let timer: NodeJS.Timeout | undefined;
  const tooMuch = new Promise<never>((_, reject) => {
    timer = setInterval(() => {
      const used = process.memoryUsage.rss();
      if (used <= maxMemoryBytes) return;
      void pool.close();
      reject(
        new HeadwaterError(
          'RUNTIME_FAILED',
          `training used ${formatBytes(used)} of memory, the owner allows ${formatBytes(maxMemoryBytes)}`,
          {
            hint: 'Raise --max-memory, or ask the operator for a smaller training.microBatchSize or data.maxLength.',
          },
        ),
      );
    }, LOOK_EVERY_MS);
  });
  try {
    return await Promise.race([work, tooMuch]);
  } finally {
    clearInterval(timer);
  }
}

/** A worker cannot be stopped between two steps of the engine; its answer is not waited for. */
function stoppable<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  work.catch(() => undefined);
  return new Promise((resolve, reject) => {
    const stop = () => reject(interrupted());
    if (signal.aborted) return stop();
    signal.addEventListener('abort', stop, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop));
  });
}
