/**
 * A round's aggregation where updates are masked: masked words are added, the masks of each group are taken away, and what follows is
 * what follows from the sums of plain updates, bit for bit. It sees no single update.
 */

import { assert, HeadwaterError } from '../base/errors.ts';
import type { Params } from '../base/tensor.ts';
import { aggregateRound } from '../federation/aggregate.ts';
import type { Member } from '../federation/events.ts';
import { type PartialSum, takeMean } from '../federation/fixed-point.ts';
import { addMaskedStream, unmaskedSum } from '../federation/masking/masked-sum.ts';
import { maskedLayout } from '../federation/masking/masked-vector.ts';
import { UpdateFault } from '../federation/update-reader.ts';
import { removeMasks } from '../privacy/secure-aggregation/mask-stream.ts';
import { addWords, wordsOfBytes } from '../privacy/secure-aggregation/words.ts';
import type { TrainableTensor } from '../tuning/kind.ts';
import {
  type AggregationJob,
  type AggregationParts,
  aggregateSum,
  referenceOf,
  stepInputOf,
  stored,
} from './aggregation.ts';
import type { AggregateResult } from './jobs.ts';
import type { UnmaskOrder } from './masking.ts';

/** Throws UPDATE_REJECTED, and what the store throws. */
export async function aggregateMasked(
  parts: AggregationParts,
  job: AggregationJob,
): Promise<AggregateResult> {
  const { unmask } = job;
  assert(unmask !== undefined, 'masks can be taken away');
  if (parts.method.rule !== undefined) return aggregateGroups(parts, job, unmask);
  assert(unmask.groups.length === 1, 'without a rule over groups all are one');
  return aggregateSum(parts, job, await sumOfGroup(parts, job, unmask, 0));
}

async function aggregateGroups(
  parts: AggregationParts,
  job: AggregationJob,
  unmask: UnmaskOrder,
): Promise<AggregateResult> {
  const { method, blobs } = parts;
  const means = new Map<string, Params>();
  const members: Member[] = [];
  let [clamped, coordinates, quantisationErrorBound] = [0, 0, 0];
  for (const index of unmask.groups.keys()) {
    const sum = await sumOfGroup(parts, job, unmask, index);
    const { mean, report } = takeMean(job.fixedPoint, sum);
    const name = `group-${String(index + 1).padStart(4, '0')}`;
    means.set(name, mean);
    members.push({ owner: name, update: name, aggregationWeight: report.totalWeight });
    clamped += report.clamped;
    coordinates += report.coordinates;
    quantisationErrorBound = report.quantisationErrorBound;
  }
  const step = await stepInputOf(parts, job);
  const reference = await referenceOf(parts, job, step.params);
  const input = { ...step, reference, members, figures: job.work.figures };
  const output = await aggregateRound(method, job.fixedPoint, input, async (name) => means.get(name)!);
  const told = { clamped, coordinates, quantisationErrorBound, groups: members.length };
  const report = { ...output.report, ...told, numUpdates: job.work.members.length };
  return stored(blobs, { ...output, report });
}

async function sumOfGroup(
  parts: AggregationParts,
  job: AggregationJob,
  unmask: UnmaskOrder,
  group: number,
): Promise<PartialSum> {
  const { work, fixedPoint } = job;
  const members = unmask.groups[group]!.map((place) => work.members[place]!);
  const expected = parts.method.wire(parts.tensors, work.round, members[0]!.owner);
  const words = new Uint32Array(maskedLayout(expected).words);
  for (const member of members) await addMember(parts, words, member, expected);
  await takeMasksAway(parts, words, unmask.masks, group);
  const totalWeight = members.reduce((sum, { aggregationWeight }) => sum + aggregationWeight, 0);
  assert(totalWeight <= fixedPoint.maxTotalWeight, 'the weights exceed what the plan allows');
  return unmaskedSum(fixedPoint, words, expected, { totalWeight, numUpdates: members.length });
}

async function addMember(
  { blobs }: AggregationParts,
  words: Uint32Array,
  { owner, update }: Member,
  expected: readonly TrainableTensor[],
): Promise<void> {
  await addMaskedStream(words, blobs.stream(update, undefined, 'lent'), expected).catch((error) => {
    if (!(error instanceof UpdateFault)) throw error;
    throw new HeadwaterError(
      'UPDATE_REJECTED',
      `the update of "${owner}" cannot be counted: ${error.message}`,
      {
        where: `blob ${update}`,
        hint: 'It was accepted before: the recipe’s method was changed, or the store is damaged.',
      },
    );
  });
}

async function takeMasksAway(
  { blobs }: AggregationParts,
  words: Uint32Array,
  masks: UnmaskOrder['masks'],
  group: number,
): Promise<void> {
  if (!('sums' in masks)) {
    await removeMasks(words, masks[group]!);
    return;
  }
  const bytes = words.byteLength;
  const range = { offset: group * bytes, length: bytes };
  let at = 0;
  let cut = new Uint8Array(0);
  for await (const piece of blobs.stream(masks.sums, range, 'lent')) {
    const joined = cut.byteLength === 0 ? piece : joinedBytes(cut, piece);
    const whole = joined.subarray(0, joined.byteLength - (joined.byteLength % 4));
    addWords(words, wordsOfBytes(whole), -1, at);
    at += whole.byteLength / 4;
    cut = joined.slice(whole.byteLength);
  }
  assert(at === words.length && cut.byteLength === 0, `the masks have ${at} words of ${words.length}`);
}

function joinedBytes(a: Uint8Array, b: Uint8Array): Uint8Array {
  const joined = new Uint8Array(a.byteLength + b.byteLength);
  joined.set(a);
  joined.set(b, a.byteLength);
  return joined;
}
