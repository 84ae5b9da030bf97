/**
 * Does the jobs of a run with an engine and a blob store: the code of a worker without the worker. What it returns is a
 * function of the job, the data and the seeds, so a job may be repeated anywhere.
 */

import { assert } from '../base/errors.ts';
import type { Params } from '../base/tensor.ts';
import type { TokenizedExample } from '../data/types.ts';
import type { BoundAttack } from '../federation/attacks/attack.ts';
import type { BoundCompression } from '../federation/compression/compression.ts';
import type { BoundMethod } from '../federation/method.ts';
import { decodeParams, encodeParams } from '../federation/params.ts';
import { checkUpdateBytes } from '../federation/update-check.ts';
import type { Tokenizer } from '../models/tokenizer.ts';
import type { Blobs } from '../storage/blobs.ts';
import type { Engine, TrainOptions } from '../training/engine.ts';
import type { BoundTuning } from '../tuning/kind.ts';
import { type AggregationParts, aggregateMembers } from './aggregation.ts';
import { type HeldOut, type Load, scoreSpan, writeSpan } from './answering.ts';
import { craftUpdate } from './attacking.ts';
import { type Arrived, statsOf, type TextFacts, trainClientRound } from './client-round.ts';
import { scoreCoalition } from './coalition.ts';
import { cutOf } from './cut.ts';
import type {
  AggregateJob,
  AggregateResult,
  AttackJob,
  AttackResult,
  ExportJob,
  InitJob,
  InitResult,
  Job,
  JobRunner,
  OnStep,
  TrainArmJob,
  TrainArmResult,
  TrainClientJob,
  TrainClientResult,
} from './jobs.ts';
import { aggregateMasked } from './masked-aggregation.ts';
import { asSent } from './masking.ts';
import { realigned } from './realigning.ts';
import { referenceUpdate } from './reference-update.ts';
import type { References } from './references.ts';
import { trainServer } from './server-round.ts';

export interface RunnerParts {
  readonly engine: Engine;
  readonly tuning: Pick<BoundTuning, 'tensors' | 'derivation'>;
  readonly method: BoundMethod;
  /** For pairs of answers, and for tasks that compare. */
  readonly references?: References | undefined;
  readonly compression: BoundCompression;
  /** Of a simulation with adversaries. */
  readonly attack?: BoundAttack | undefined;
  /** As for a client's round. */
  readonly text?: TextFacts | undefined;
  readonly maxUpdateNorm: number | null;
  readonly blobs: Blobs;
  readonly train: ReadonlyMap<string, readonly TokenizedExample[]>;
  readonly heldOut: Partial<Readonly<Record<'validation' | 'test', HeldOut>>>;
  /** For methods whose server trains. */
  readonly publicExamples?: readonly TokenizedExample[] | undefined;
  /** Fresh params from the seed, or those of a PEFT folder. */
  initialParams(seed: number, adapter: string | null): Promise<Params>;
  exportParams(params: Params, folder: string, card?: string): Promise<void>;
  /** Read when the first text is written. */
  tokenizer(): Promise<Tokenizer>;
}

export function createJobRunner(parts: RunnerParts): JobRunner {
  const load = cachedLoader(parts.blobs);
  const loadRest = cachedLoader(parts.blobs);
  const run = (job: Job, onStep?: OnStep): Promise<unknown> => {
    switch (job.kind) {
      case 'init':
        return init(parts, job);
      case 'train-client':
        return trainClient(parts, { load, loadRest }, job, onStep);
      case 'attack':
        return attacked(parts, job);
      case 'cut':
        return load(job.params).then((params) =>
          cutOf({ ...parts, tensors: parts.tuning.tensors }, params, job),
        );
      case 'train-arm':
        return trainArm(parts, load, job, onStep);
      case 'aggregate':
        return aggregate(parts, job);
      case 'coalition':
        return scoreCoalition(aggregationParts(parts), job);
      case 'score':
        return scoreSpan(parts, load, job);
      case 'write':
        return writeSpan(parts, load, job);
      case 'export':
        return load(job.params).then((params) => exportAll(parts, params, job));
    }
  };
  return { run: run as JobRunner['run'] };
}

async function exportAll(
  { method, exportParams }: RunnerParts,
  params: Params,
  { folder, card }: ExportJob,
): Promise<null> {
  await exportParams(params, folder, card);
  for (const [suffix, other] of method.alsoPublished(params))
    await exportParams(other, folder + suffix, card);
  return null;
}

function attacked(
  { attack, tuning: { tensors }, ...parts }: RunnerParts,
  job: AttackJob,
): Promise<AttackResult> {
  assert(attack !== undefined, 'there is an attack where there are adversaries');
  return craftUpdate({ ...parts, attack, tensors }, job);
}

/** Pairs come with what the reference model says of them. */
async function examplesOf(
  { train, references }: RunnerParts,
  owner: string,
  options: TrainOptions,
): Promise<readonly TokenizedExample[]> {
  const examples = train.get(owner) ?? [];
  if (examples[0]?.rejected === undefined) return examples;
  assert(references !== undefined, 'pairs of answers are learnt next to a reference');
  return references.ofOwner(owner, examples, options);
}

function aggregate(parts: RunnerParts, { kind: _, ...job }: AggregateJob): Promise<AggregateResult> {
  const { realign, unmask, work } = job;
  const aggregated = (blobs: Blobs) => {
    const whole = { ...aggregationParts(parts), blobs };
    return unmask === undefined ? aggregateMembers(whole, job) : aggregateMasked(whole, job);
  };
  return realign === undefined ? aggregated(parts.blobs) : realigned(parts, work.round, realign, aggregated);
}

function aggregationParts(parts: RunnerParts): AggregationParts & RunnerParts {
  const afterStep: AggregationParts['afterStep'] = (output, { work, training }) =>
    trainServer(parts, work.round, training, output);
  const { tensors, derivation } = parts.tuning;
  const reference: AggregationParts['reference'] = (params, { work, training }) =>
    referenceUpdate(
      { ...parts, tensors, derivation },
      work.round,
      params,
      parts.publicExamples ?? [],
      training,
    );
  return { ...parts, tensors, afterStep, reference };
}

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

interface Loaders {
  readonly load: Load;
  /** Keeps what a deployment's client has in every round. */
  readonly loadRest: Load;
}

async function arrived(
  { load, loadRest }: Loaders,
  params: string,
  rest: string | null | undefined,
): Promise<Params | Arrived> {
  if (rest === undefined) return load(params);
  return { sent: await load(params), rest: rest === null ? new Map() : await loadRest(rest) };
}

async function trainClient(
  parts: RunnerParts,
  loaders: Loaders,
  { seed, round, owner, params, rest, personal, options, clipNorm, ownNoise, mask }: TrainClientJob,
  onStep: OnStep | undefined,
): Promise<TrainClientResult> {
  const { tuning, method, compression, maxUpdateNorm, blobs } = parts;
  const kept = personal === null ? undefined : decodeParams(await blobs.get(personal), `blob ${personal}`);
  const input = {
    seed,
    round,
    owner,
    params: await arrived(loaders, params, rest),
    kept,
    examples: await examplesOf(parts, owner, options),
  };
  const { tensors, derivation } = tuning;
  const result = await trainClientRound(
    { ...parts, tensors, derivation },
    { ...input, options, clipNorm, ownNoise },
    onStep,
  );
  const { downBytes, stats, unclippedNorm } = result;
  const travelling = method.wire(tuning.tensors, round, owner);
  const plainly = checkUpdateBytes(result.update, travelling, { compression, maxNorm: maxUpdateNorm });
  const { update, check } = await asSent(result.update, plainly, mask);
  return {
    update: await blobs.put(update),
    personal: result.kept === undefined ? null : await blobs.put(encodeParams(result.kept)),
    upBytes: update.byteLength,
    downBytes,
    check,
    stats,
    // A norm that is no number has no place in JSON; the check says so.
    ...(unclippedNorm !== undefined && Number.isFinite(unclippedNorm) ? { unclippedNorm } : {}),
  };
}

async function trainArm(
  parts: RunnerParts,
  load: Load,
  { owners, params, options }: TrainArmJob,
  onStep: OnStep | undefined,
): Promise<TrainArmResult> {
  const { engine, tuning, method, blobs } = parts;
  const pooled: TokenizedExample[] = [];
  for (const owner of owners) pooled.push(...(await examplesOf(parts, owner, options)));
  // What only a server changes is nothing that a training without one could learn.
  const still = tuning.tensors.filter((tensor) => !method.trainedAlone(tensor));
  const frozen = new Set(still.map(({ name }) => name));
  const trained = await engine.train(await load(params), pooled, options, onStep, { frozen });
  return { params: await blobs.put(encodeParams(trained.params)), stats: statsOf(trained) };
}
