/**
 * The aggregation of linear methods over streams, with the bits of `aggregate.ts`: updates are read one after the other in
 * pieces, the sums are the only thing as large as the model (twice, being float64), and the next params leave as a stream.
 */

import { assert, HeadwaterError } from '../base/errors.ts';
import { arrayFromBytes, bytesOf, type Params } from '../base/tensor.ts';
import { layoutSafetensors } from '../models/safetensors.ts';
import type { SafetensorsEntry, SafetensorsHeader } from '../models/safetensors-header.ts';
import { createSafetensorsReader, readAllOf } from '../models/safetensors-stream.ts';
import type { TrainableTensor } from '../tuning/kind.ts';
import { takePrivateMean } from './aggregate.ts';
import type { BoundCompression } from './compression/compression.ts';
import type { Member } from './events.ts';
import {
  type AggregationReport,
  addValues,
  countUpdate,
  emptySum,
  type FixedPointPlan,
  multiplied,
  type PartialSum,
} from './fixed-point.ts';
import type { BoundMethod } from './method.ts';
import { type NoisyRelease, serverClipFactor } from './noisy-release.ts';
import { checkUpdateStream } from './update-check.ts';
import { createUpdateReader, UpdateFault } from './update-reader.ts';

export type ReadBlob = (digest: string) => AsyncIterable<Uint8Array>;

export interface UpdateFormat {
  /** The tensors that travel in the round. */
  readonly expected: readonly TrainableTensor[];
  readonly compression: BoundCompression;
  /** Longer updates are scaled down to it: they are read twice. Omitted: they are not looked at. */
  readonly clipNorm?: number | undefined;
}

/** Whether updates may be summed, and the sum's mean added to the params, element by element. */
export function isStreamable({ combine, serverStep }: BoundMethod): boolean {
  return combine === undefined && serverStep === undefined;
}

/** The exact sum of some members; sums of disjoint groups merge into the sum of all. Throws UPDATE_REJECTED. */
export async function sumUpdates(
  plan: FixedPointPlan,
  members: readonly Member[],
  format: UpdateFormat,
  read: ReadBlob,
): Promise<PartialSum> {
  const { expected, compression } = format;
  const sum = emptySum();
  const scales = expected.map(({ name }) => plan.tensors.find((scale) => scale.name === name)!);
  for (const { owner, update, aggregationWeight, freshWeight = aggregationWeight } of members) {
    countUpdate(plan, sum, aggregationWeight, freshWeight);
    const factor = await factorFor(format, sum, { owner, update }, read);
    const reader = createUpdateReader(expected, compression, (index, begin, values, indices, largest) => {
      const scaled = multiplied(values, factor);
      addValues(sum, scales[index]!, aggregationWeight, begin, scaled, indices, largest);
    });
    await readAllOf(read(update), reader).catch((error) => {
      throw error instanceof UpdateFault ? notAsAccepted(owner, update, error.message) : error;
    });
  }
  return sum;
}

async function factorFor(
  { expected, compression, clipNorm }: UpdateFormat,
  sum: PartialSum,
  { owner, update }: Pick<Member, 'owner' | 'update'>,
  read: ReadBlob,
): Promise<number> {
  if (clipNorm === undefined) return 1;
  const check = await checkUpdateStream(read(update), expected, { compression });
  if (check.ok) return serverClipFactor(check.l2Norm, clipNorm, sum);
  throw notAsAccepted(owner, update, check.reason);
}

export interface StreamedRound {
  /** The next params as a safetensors file, to be read once: what `encodeParams` would make of them. */
  readonly params: AsyncIterable<Uint8Array>;
  readonly report: AggregationReport;
  readonly aggregateNorm: number;
}

/** params + η · mean, piece by piece. `params`: the round's params as a file; the sum is gone afterwards. */
export function streamFromSum(
  plan: FixedPointPlan,
  sum: PartialSum,
  params: AsyncIterable<Uint8Array>,
  serverLearningRate: number,
  release?: NoisyRelease,
): StreamedRound {
  const { mean, norm, report } = takePrivateMean(plan, sum, release);
  return {
    params: steppedFile(params, mean, serverLearningRate),
    report,
    aggregateNorm: norm,
  };
}

async function* steppedFile(
  source: AsyncIterable<Uint8Array>,
  mean: Params,
  serverLearningRate: number,
): AsyncIterable<Uint8Array> {
  const ready: Uint8Array[] = [];
  const reader = createSafetensorsReader(
    {
      header: (header) => ready.push(headerOf(header)),
      data: (entry, offsetBytes, bytes) =>
        ready.push(steppedPiece(entry, offsetBytes, bytes, mean, serverLearningRate)),
    },
    { mode: 'upload' },
  );
  for await (const piece of source) {
    reader.push(piece);
    yield* ready.splice(0);
  }
  reader.end();
}

/** The header as Headwater writes it; the tensors must lie as it says, which they do in every file that Headwater wrote. */
function headerOf({ entries, dataOffsetBytes }: SafetensorsHeader): Uint8Array {
  const types = [...entries.values()].map(({ name, dtype, shape }) => {
    assert(dtype === 'float32', `params are float32, "${name}" is ${dtype}`);
    return [name, { dtype, shape }] as const;
  });
  const { header, order } = layoutSafetensors(new Map(types));
  let at = dataOffsetBytes;
  for (const name of order) {
    assert(entries.get(name)!.offsetBytes === at, `"${name}" lies elsewhere in the params`);
    at += entries.get(name)!.lengthBytes;
  }
  return header;
}

function steppedPiece(
  { name }: SafetensorsEntry,
  offsetBytes: number,
  bytes: Uint8Array,
  mean: Params,
  scale: number,
): Uint8Array {
  const update = mean.get(name)?.data;
  if (update === undefined) return bytes.slice();
  const before = arrayFromBytes('float32', bytes);
  const after = new Float32Array(before.length);
  const begin = offsetBytes / 4;
  for (let i = 0; i < after.length; i++) after[i] = before[i]! + scale * update[begin + i]!;
  return bytesOf(after);
}

function notAsAccepted(owner: string, update: string, reason: string): HeadwaterError {
  return new HeadwaterError('UPDATE_REJECTED', `the update of "${owner}" cannot be counted: ${reason}`, {
    where: `blob ${update}`,
    hint: 'It was accepted before: the recipe’s compression or method was changed, or the store is damaged.',
  });
}
