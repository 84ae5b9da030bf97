/**
 * A round's aggregation over a blob store: by streams where the method only averages, in memory otherwise; the bits are the
 * same. Partial sums that were made elsewhere are brought to their end here too. It knows no tasks and no workers.
 */

import { assert } from '../base/errors.ts';
import { type Params, sizeOf } from '../base/tensor.ts';
import { aggregateRound, type RoundOutput, stepFromSum } from '../federation/aggregate.ts';
import {
  isStreamable,
  streamFromSum,
  sumUpdates,
  type UpdateFormat,
} from '../federation/aggregate-stream.ts';
import type { BoundCompression } from '../federation/compression/compression.ts';
import type { Member } from '../federation/events.ts';
import type { PartialSum } from '../federation/fixed-point.ts';
import type { BoundMethod } from '../federation/method.ts';
import { serverClipNorm, withZeros } from '../federation/noisy-release.ts';
import { decodeParams, encodeParams } from '../federation/params.ts';
import { decodeUpdate } from '../federation/update-reader.ts';
import type { Blobs } from '../storage/blobs.ts';
import type { TrainableTensor } from '../tuning/kind.ts';
import type { AggregateJob, AggregateResult } from './jobs.ts';
import { releaseOf } from './release.ts';
import { watchRound } from './watching.ts';

export interface AggregationParts {
  readonly method: BoundMethod;
  readonly compression: BoundCompression;
  readonly tensors: readonly TrainableTensor[];
  readonly blobs: Pick<Blobs, 'get' | 'put' | 'stream' | 'putStream'>;
  /** What the server learns itself in a round, for robust rules that ask for it; omitted where there is no model. */
  readonly reference?: (params: Params, job: AggregationJob) => Promise<Params>;
  /** After the step of a rule over whole updates; omitted where there is no model: then no server trains. */
  readonly afterStep?: (output: RoundOutput, job: AggregationJob) => Promise<RoundOutput>;
}

export type AggregationJob = Omit<AggregateJob, 'kind'>;

/** The whole of it. Throws UPDATE_REJECTED, and what the store throws. */
export async function aggregateMembers(
  parts: AggregationParts,
  job: AggregationJob,
): Promise<AggregateResult> {
  // Sums are told of at their own end.
  if (parts.method.combine === undefined)
    return aggregateSum(parts, job, await sumMembers(parts, job, job.work.members));
  return withRoundSigns(parts, job, await aggregateWhole(parts, job));
}

async function aggregateWhole(parts: AggregationParts, job: AggregationJob): Promise<AggregateResult> {
  return stored(parts.blobs, await roundInMemory(parts, job));
}

/** All updates of a round in memory, the next params with them: the bits that a round by streams gives. */
export async function roundInMemory(
  parts: Omit<AggregationParts, 'blobs'> & { readonly blobs: ReadableBlobs },
  job: AggregationJob,
): Promise<RoundOutput> {
  const { method } = parts;
  const step = await stepInputOf(parts, job);
  const reference = await referenceOf(parts, job, step.params);
  const input = { ...step, reference, members: job.work.members, figures: job.work.figures };
  const load = (digest: string, owner: string) => loadUpdate(parts, job, digest, owner);
  const output = await aggregateRound(method, job.fixedPoint, input, load);
  assert(
    method.serverTrain === undefined || parts.afterStep !== undefined,
    'a server trains where a model is',
  );
  return (await parts.afterStep?.(output, job)) ?? output;
}

/** What the server learns itself, where the rule asks for it. */
export async function referenceOf(
  parts: Pick<AggregationParts, 'method' | 'reference'>,
  job: AggregationJob,
  params: Params,
): Promise<Params | undefined> {
  if (parts.method.rule?.asksReference !== true) return undefined;
  assert(parts.reference !== undefined, 'a server learns where a model is');
  return parts.reference(params, job);
}

/** The exact sum of some of the members: a leaf of a tree of sums. Only for methods without a `combine` of their own. */
export async function sumMembers(
  parts: AggregationParts,
  job: AggregationJob,
  members: readonly Member[],
): Promise<PartialSum> {
  const read = (digest: string) => parts.blobs.stream(digest, undefined, 'lent');
  // What can be added up is the same for all.
  const format = formatOf(parts, job, members[0]?.owner ?? '');
  const sum = await sumUpdates(job.fixedPoint, members, format, read);
  return job.release?.poisson === undefined ? sum : withZeros(sum, format.expected);
}

/** From the sum of all members to the next params; the sum is gone afterwards. */
export async function aggregateSum(
  parts: AggregationParts,
  job: AggregationJob,
  sum: PartialSum,
): Promise<AggregateResult> {
  const result = await stepOfSum(parts, job, sum);
  const figures = await figuresOf(parts, job, result.params);
  const told = figures === undefined ? result : { ...result, report: { ...result.report, figures } };
  return withRoundSigns(parts, job, told);
}

/** What the round’s updates showed beside their aggregate: who was put aside, who may be a free-rider. */
async function withRoundSigns(
  parts: AggregationParts,
  job: AggregationJob,
  result: AggregateResult,
): Promise<AggregateResult> {
  const { excluded } = job.work;
  const load = (digest: string, owner: string) => loadUpdate(parts, job, digest, owner);
  const watch = job.work.watch && (await watchRound(parts.blobs, job.work, job.work.watch, load));
  return {
    ...result,
    ...(excluded === undefined ? {} : { excluded }),
    ...(watch === undefined ? {} : { watch }),
  };
}

async function stepOfSum(
  parts: AggregationParts,
  job: AggregationJob,
  sum: PartialSum,
): Promise<AggregateResult> {
  const { method, blobs } = parts;
  const { work, fixedPoint, serverLearningRate, release } = job;
  if (!isStreamable(method))
    return stored(blobs, stepFromSum(method, fixedPoint, await stepInputOf(parts, job), sum));
  const before = blobs.stream(work.params, undefined, 'lent');
  const { params, report, aggregateNorm } = streamFromSum(
    fixedPoint,
    sum,
    before,
    serverLearningRate,
    release && releaseOf(release),
  );
  return { params: await blobs.putStream(params), serverState: null, report, aggregateNorm };
}

/** Elements of a cohort’s updates up to which figures are made: 32 MiB, for LoRA of rank 8 about a second or two. */
const FIGURES_ELEMENTS = 2 ** 23;

/** Of a linear method's round, from the updates themselves. Undefined where none are asked for, it has none to say, or they are too many. */
async function figuresOf(parts: AggregationParts, job: AggregationJob, after: string) {
  const { method, blobs } = parts;
  if (job.work.figures !== true) return undefined;
  // Figures get no noise, and masked updates show none.
  if (job.release?.noise.kind === 'secret' || job.unmask !== undefined) return undefined;
  const { members, params } = job.work;
  // Stale updates began from other params than the round's.
  const stale = members.some(({ freshWeight, aggregationWeight }) => (freshWeight ?? 0) > aggregationWeight);
  const { expected } = formatOf(parts, job, members[0]?.owner ?? '');
  const elements = members.length * expected.reduce((sum, { shape }) => sum + sizeOf(shape), 0);
  if (method.figures === undefined || stale || elements > FIGURES_ELEMENTS) return undefined;
  const updates = await Promise.all(
    members.map(async ({ owner, update, aggregationWeight }) => ({
      owner,
      aggregationWeight,
      update: await loadUpdate(parts, job, update, owner),
    })),
  );
  const round = { before: await loadParams(blobs, params), after: await loadParams(blobs, after) };
  const figures = method.figures(updates, round);
  return Object.keys(figures).length === 0 ? undefined : figures;
}

type ReadableBlobs = Pick<Blobs, 'get'>;

async function loadParams(blobs: ReadableBlobs, digest: string): Promise<Params> {
  return decodeParams(await blobs.get(digest), `blob ${digest}`);
}

async function loadUpdate(
  parts: FormatParts & { readonly blobs: ReadableBlobs },
  job: AggregationJob,
  digest: string,
  owner: string,
) {
  const { expected, compression } = formatOf(parts, job, owner);
  return decodeUpdate(await parts.blobs.get(digest), expected, compression);
}

type FormatParts = Pick<AggregationParts, 'method' | 'compression' | 'tensors'>;

function formatOf(
  { method, compression, tensors }: FormatParts,
  { work, release }: AggregationJob,
  owner: string,
): UpdateFormat {
  const expected = method.wire(tensors, work.round, owner);
  return { expected, compression, clipNorm: serverClipNorm(release) };
}

export async function stepInputOf(
  { blobs }: { readonly blobs: ReadableBlobs },
  { work, serverLearningRate, release }: AggregationJob,
) {
  const { round, serverState, participation } = work;
  return {
    round,
    participation,
    params: await loadParams(blobs, work.params),
    serverState: serverState === null ? undefined : await loadParams(blobs, serverState),
    serverLearningRate,
    release: release && releaseOf(release),
  };
}

export async function stored(blobs: Pick<Blobs, 'put'>, output: RoundOutput): Promise<AggregateResult> {
  const { params, serverState, report, aggregateNorm } = output;
  return {
    params: await blobs.put(encodeParams(params)),
    serverState: serverState === undefined ? null : await blobs.put(encodeParams(serverState)),
    report,
    aggregateNorm,
  };
}
