/** The pool of a run: how many workers, and what each is given when it starts. */

import { availableParallelism } from 'node:os';
import { type ResourceLimits, Worker } from 'node:worker_threads';
import type { Clock } from '../base/clock.ts';
import { siblingModule } from '../base/sibling.ts';
import type { Recipe } from '../recipe/schema.ts';
import { createPool, type Pool } from './pool.ts';
import type { PreparedRun } from './prepare.ts';
import { shareExamples } from './shared-examples.ts';
import type { SharedHeldOut, WorkerInit } from './worker.ts';

export function openWorkers(prepared: PreparedRun, blobFolder: string, clock: Clock): Pool {
  return poolOf(workerCount(prepared.recipe, prepared), workerInit(prepared, blobFolder), clock);
}

/** One worker without anybody’s examples: for what a coordinator does itself. `blobs`: folder, or `s3://…`. */
export function openOwnWorker(
  init: Pick<WorkerInit, 'recipe' | 'modelFolder' | 'quantizedFolder' | 'blobs' | 'publicExamples'>,
  clock: Clock,
): Pool {
  return poolOf(1, { ...init, train: new Map(), heldOut: {} }, clock, OWN_LIMITS);
}

/**
 * Aggregation reads files of any size through pieces that nobody needs a moment later. A small young generation is collected
 * often, so that few of them lie around: 2.2 instead of 3.4 times the model, at the same speed.
 */
const OWN_LIMITS: ResourceLimits = { maxYoungGenerationSizeMb: 4 };

function poolOf(size: number, workerData: WorkerInit, clock: Clock, resourceLimits?: ResourceLimits): Pool {
  const options = { workerData, ...(resourceLimits === undefined ? {} : { resourceLimits }) };
  return createPool(size, () => new Worker(siblingModule(import.meta.url, './worker'), options), clock);
}

/** As many as there are cores, and no more than there could be things to do at once. */
function workerCount(
  { workers, threadsPerSession, replicas, federation, baselines }: Recipe,
  { owners }: PreparedRun,
): number {
  if (workers !== 'auto') return workers;
  const useful = (federation.cohortSize ?? owners.length) + (baselines.localOnly ? owners.length : 0) + 1;
  return Math.max(1, Math.min(useful, Math.floor(availableParallelism() / (threadsPerSession * replicas))));
}

function workerInit(
  { recipe, model, train, heldOut, publicExamples }: PreparedRun,
  blobFolder: string,
): WorkerInit {
  const shared: Partial<Record<'validation' | 'test', SharedHeldOut>> = {};
  for (const split of ['validation', 'test'] as const) {
    const set = heldOut[split];
    if (set === undefined) continue;
    const { pieces, pieceOwner: owners, prompts, promptOwner: promptOwners, compared } = set;
    shared[split] = { pieces: shareExamples(pieces), owners, prompts, promptOwners, compared };
  }
  const folders = { modelFolder: model.folder, quantizedFolder: model.quantized?.folder };
  return { recipe, ...folders, blobs: blobFolder, train, heldOut: shared, publicExamples };
}
