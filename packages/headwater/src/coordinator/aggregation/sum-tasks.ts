/**
 * The two kinds of tasks that make a tree of exact sums: `sum-updates` adds up to 32 members' updates, `sum-sums` merges
 * partial sums. Their ids are digests of what they do, so a retry is the same task. Pure but for the blobs they read and
 * write; who does them, and in what tree, changes no bit of the whole.
 */

import { z } from 'zod';
import { digestJson } from '../../base/canonical.ts';
import { sumUpdates } from '../../federation/aggregate-stream.ts';
import { bindCompression, type Compression } from '../../federation/compression/compression.ts';
import type { Member } from '../../federation/events.ts';
import { emptySum, type FixedPointPlan, type PartialSum } from '../../federation/fixed-point.ts';
import { addEncodedSum, encodeSum } from '../../federation/partial-sums.ts';
import { recordOf } from '../../jobs/records.ts';
import type { Blobs } from '../../storage/blobs.ts';
import type { Json } from '../../storage/journal.ts';
import type { Task } from '../../storage/store.ts';

export const SUM_KINDS = ['sum-updates', 'sum-sums'] as const;
/** Who waits for sum tasks, and who waits for their results. */
export const SUM_TASKS_TOPIC = 'sum-tasks';
export const SUM_RESULTS_TOPIC = 'sum-results';

/** What every task of a tree needs to know. */
export interface SumContext {
  readonly fixedPoint: FixedPointPlan;
  /** The tensors that travel in the round. */
  readonly expected: readonly { readonly name: string; readonly shape: readonly number[] }[];
  /** `{ kind, …options }`, as in the recipe. */
  readonly compression: CompressionChoice;
}

export interface CompressionChoice {
  readonly kind: string;
  readonly [option: string]: unknown;
}

export interface SumTask {
  readonly id: string;
  readonly kind: (typeof SUM_KINDS)[number];
  readonly payload: Json;
}

/** Changes when a task means something else: workers of another version leave it alone. */
const FORMAT = 1;

const shape = z.array(z.int().nonnegative());
const fixedPoint = z.strictObject({
  tensors: z.array(z.strictObject({ name: z.string(), shape, fractionBits: z.number(), range: z.number() })),
  maxTotalWeight: z.int().positive(),
});
const member = z.strictObject({
  owner: z.string(),
  update: z.string(),
  aggregationWeight: z.int().positive(),
  freshWeight: z.int().positive().optional(),
});
const updatesPayload = z.strictObject({
  format: z.literal(FORMAT),
  fixedPoint,
  expected: z.array(z.strictObject({ name: z.string(), shape })),
  compression: z.looseObject({ kind: z.string() }),
  members: z.array(member),
});
const sumsPayload = z.strictObject({ format: z.literal(FORMAT), fixedPoint, sums: z.array(z.string()) });
const resultShape = z.strictObject({ sum: z.string() });

export function updatesTask(context: SumContext, members: readonly Member[]): SumTask {
  const expected = context.expected.map(({ name, shape }) => ({ name, shape }));
  return taskOf('sum-updates', { ...context, expected, members, format: FORMAT });
}

/** `sums`: digests of encoded partial sums. */
export function sumsTask({ fixedPoint }: SumContext, sums: readonly string[]): SumTask {
  return taskOf('sum-sums', { fixedPoint, sums, format: FORMAT });
}

function taskOf(kind: SumTask['kind'], payload: object): SumTask {
  return { id: `${kind}-${digestJson({ kind, payload })}`, kind, payload: payload as Json };
}

/** The digest of the partial sum that a finished task made. */
export function sumOfResult(result: Json): string {
  return resultShape.parse(result).sum;
}

/** Does a task and gives its result. Throws what reading updates, sums and blobs throws. */
export async function performSumTask(
  { kind, payload }: Pick<Task, 'kind' | 'payload'>,
  blobs: Pick<Blobs, 'stream' | 'putStream'>,
  compressions: ReadonlyMap<string, Compression<unknown>>,
): Promise<{ readonly sum: string }> {
  const { plan, sum } =
    kind === 'sum-updates'
      ? await sumOfUpdates(updatesPayload.parse(payload), blobs, compressions)
      : await sumOfSums(sumsPayload.parse(payload), blobs);
  return { sum: await blobs.putStream(pieces(encodeSum(plan, sum))) };
}

interface Summed {
  readonly plan: FixedPointPlan;
  readonly sum: PartialSum;
}

async function sumOfUpdates(
  { fixedPoint: plan, expected, compression, members }: z.infer<typeof updatesPayload>,
  blobs: Pick<Blobs, 'stream'>,
  compressions: ReadonlyMap<string, Compression<unknown>>,
): Promise<Summed> {
  const { record, options } = recordOf(compressions, compression);
  const format = { expected, compression: bindCompression(record, options) };
  const sum = await sumUpdates(plan, members as readonly Member[], format, (digest) => blobs.stream(digest));
  return { plan, sum };
}

async function sumOfSums(
  { fixedPoint: plan, sums }: z.infer<typeof sumsPayload>,
  blobs: Pick<Blobs, 'stream'>,
): Promise<Summed> {
  const sum = emptySum();
  for (const digest of sums) await addEncodedSum(plan, sum, blobs.stream(digest));
  return { plan, sum };
}

async function* pieces(parts: Iterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield* parts;
}
