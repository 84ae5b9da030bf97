/**
 * Does the jobs of a run with an engine and a blob store: the code of a worker without the worker. What it returns is a
 * function of the job, the data and the seeds, so a job may be repeated anywhere.
 */

import { rng } from '../base/random.ts';
import type { Params } from '../base/tensor.ts';
import type { TokenizedExample } from '../data/types.ts';
import { aggregateRound } from '../federation/aggregate.ts';
import type { TrainingStats } from '../federation/events.ts';
import { type BoundMethod, sharedTensors } from '../federation/method.ts';
import {
  decodeParams,
  differenceOf,
  encodedBytes,
  encodeParams,
  overlaid,
  selectParams,
} from '../federation/params.ts';
import { checkUpdateBytes } from '../federation/update-check.ts';
import type { Blobs } from '../storage/blobs.ts';
import type { Engine, ExampleScore, TrainResult } from '../training/engine.ts';
import { exampleStream } from '../training/example-stream.ts';
import type { BoundTuning } from '../tuning/kind.ts';
import type {
  AggregateJob,
  AggregateResult,
  InitJob,
  InitResult,
  Job,
  JobRunner,
  OnStep,
  ScoreJob,
  TrainArmJob,
  TrainArmResult,
  TrainClientJob,
  TrainClientResult,
} from './jobs.ts';

export interface HeldOut {
  readonly pieces: readonly TokenizedExample[];
  readonly owners: readonly (string | undefined)[];
}

export interface RunnerParts {
  readonly engine: Engine;
  readonly tuning: Pick<BoundTuning, 'tensors'>;
  readonly method: BoundMethod;
  readonly blobs: Blobs;
  readonly train: ReadonlyMap<string, readonly TokenizedExample[]>;
  readonly heldOut: Partial<Readonly<Record<'validation' | 'test', HeldOut>>>;
  /** Fresh params from the seed, or those of a PEFT folder. */
  initialParams(seed: number, adapter: string | null): Promise<Params>;
  exportParams(params: Params, folder: string): Promise<void>;
}

export function createJobRunner(parts: RunnerParts): JobRunner {
  const load = cachedLoader(parts.blobs);
  const run = (job: Job, onStep?: OnStep): Promise<unknown> => {
    switch (job.kind) {
      case 'init':
        return init(parts, job);
      case 'train-client':
        return trainClient(parts, load, job, onStep);
      case 'train-arm':
        return trainArm(parts, load, job, onStep);
      case 'aggregate':
        return aggregate(parts, load, job);
      case 'score':
        return score(parts, load, job);
      case 'export':
        return load(job.params).then((params) => parts.exportParams(params, job.folder).then(() => null));
    }
  };
  return { run: run as JobRunner['run'] };
}

type Load = (digest: string) => Promise<Params>;

/** The clients of a round start from the same params: the last ones read are kept. */
function cachedLoader(blobs: Blobs): Load {
  let last: { readonly digest: string; readonly params: Params } | undefined;
  return async (digest) => {
    if (last?.digest !== digest)
      last = { digest, params: decodeParams(await blobs.get(digest), `blob ${digest}`) };
    return last.params;
  };
}

async function init(
  { tuning, blobs, initialParams }: RunnerParts,
  { seed, adapter }: InitJob,
): Promise<InitResult> {
  const params = await initialParams(seed, adapter);
  return { params: await blobs.put(encodeParams(params)), tensors: tuning.tensors };
}

async function trainClient(
  { engine, tuning, method, blobs, train }: RunnerParts,
  load: Load,
  job: TrainClientJob,
  onStep: OnStep | undefined,
): Promise<TrainClientResult> {
  const { seed, round, owner, options } = job;
  const travelling = sharedTensors(method, tuning.tensors, round);
  const names = new Set(travelling.map(({ name }) => name));
  const isShared = (name: string) => names.has(name);
  const context = (purpose: string) => ({ round, owner, random: rng(seed, owner, round, purpose) });
  const global = await load(job.params);
  const received = method.encodeDown(selectParams(global, isShared), context('encode-down'));
  const own = job.personal === null ? new Map() : decodeParams(await blobs.get(job.personal));
  const start = overlaid(overlaid(global, own), received);
  const examples = examplesOfRound(train.get(owner) ?? [], job);
  const trained = await engine.train(start, examples, options, onStep);
  const update = differenceOf(selectParams(trained.params, isShared), received);
  const bytes = encodeParams(method.encodeUp(update, context('encode-up')));
  const kept = selectParams(trained.params, (name) => !names.has(name));
  return {
    update: await blobs.put(bytes),
    personal: kept.size === 0 ? null : await blobs.put(encodeParams(kept)),
    upBytes: bytes.byteLength,
    downBytes: encodedBytes(received),
    check: checkUpdateBytes(bytes, travelling),
    stats: statsOf(trained),
  };
}

/**
 * What a client sees in one round: the next localSteps · batchSize examples of its own endless shuffled stream, so that
 * successive rounds go through its data in epochs.
 */
function examplesOfRound(
  examples: readonly TokenizedExample[],
  { seed, owner, options }: TrainClientJob,
): TokenizedExample[] {
  const stream = exampleStream(examples.length, [seed, owner, 'stream']);
  for (let step = 0; step < options.stepOffset; step++) stream.take(options.batchSize);
  const positions = Array.from({ length: options.steps }, () => stream.take(options.batchSize)).flat();
  return positions.map((position) => examples[position]!);
}

async function trainArm(
  { engine, blobs, train }: RunnerParts,
  load: Load,
  { owners, params, options }: TrainArmJob,
  onStep: OnStep | undefined,
): Promise<TrainArmResult> {
  const pooled = owners.flatMap((owner) => train.get(owner) ?? []);
  const trained = await engine.train(await load(params), pooled, options, onStep);
  return { params: await blobs.put(encodeParams(trained.params)), stats: statsOf(trained) };
}

async function aggregate(
  { method, blobs }: RunnerParts,
  load: Load,
  { work, fixedPoint, serverLearningRate }: AggregateJob,
): Promise<AggregateResult> {
  const serverState = work.serverState === null ? undefined : decodeParams(await blobs.get(work.serverState));
  const input = {
    round: work.round,
    params: await load(work.params),
    serverState,
    members: work.members,
    serverLearningRate,
  };
  const output = await aggregateRound(method, fixedPoint, input, async (digest) =>
    decodeParams(await blobs.get(digest)),
  );
  return {
    params: await blobs.put(encodeParams(output.params)),
    serverState: output.serverState === undefined ? null : await blobs.put(encodeParams(output.serverState)),
    report: output.report,
    aggregateNorm: output.aggregateNorm,
  };
}

/** With personal tensors each owner's examples are scored by the owner's own params, otherwise all at once. */
async function score(
  { engine, blobs, heldOut }: RunnerParts,
  load: Load,
  job: ScoreJob,
): Promise<ExampleScore[]> {
  const { begin, end, batchSize, maxLength } = job;
  const { pieces = [], owners = [] } = heldOut[job.split] ?? {};
  const global = await load(job.params);
  const scores = new Map<number, ExampleScore>();
  for (const [owner, positions] of groups(owners, begin, end, job.personal)) {
    const own = job.personal[owner];
    const params = own === undefined ? global : overlaid(global, decodeParams(await blobs.get(own)));
    const examples = positions.map((position) => pieces[position]!);
    const scored = await engine.score(params, examples, { batchSize, maxLength });
    for (const [i, position] of positions.entries()) scores.set(position, scored[i]!);
  }
  return Array.from({ length: end - begin }, (_, i) => scores.get(begin + i)!);
}

function groups(
  owners: readonly (string | undefined)[],
  begin: number,
  end: number,
  personal: Readonly<Record<string, string>>,
): Map<string, number[]> {
  const result = new Map<string, number[]>();
  for (let position = begin; position < end; position++) {
    const owner = owners[position] ?? '';
    const key = Object.hasOwn(personal, owner) ? owner : '';
    const positions = result.get(key);
    if (positions === undefined) result.set(key, [position]);
    else positions.push(position);
  }
  return result;
}

function statsOf({ steps, numExamples, numTokens, numTargets, meanLoss }: TrainResult): TrainingStats {
  const finite = (x: number | undefined) => (x !== undefined && Number.isFinite(x) ? x : null);
  return {
    steps: steps.length,
    numExamples,
    numTokens,
    numTargets,
    meanLoss: finite(meanLoss),
    lastLoss: finite(steps.at(-1)?.loss),
  };
}
