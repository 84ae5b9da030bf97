/**
 * Partial sums as bytes, for aggregation in a tree of tasks: safetensors with the exact integers as F64 and the counts as
 * metadata. Equal sums give equal bytes; adding an encoded sum needs no second model in memory. It knows no tasks.
 */

import { digestJson } from '../base/canonical.ts';
import { HeadwaterError } from '../base/errors.ts';
import { sameShape } from '../base/tensor.ts';
import { layoutFormats } from '../models/safetensors.ts';
import type { SafetensorsEntry, SafetensorsHeader } from '../models/safetensors-header.ts';
import { createSafetensorsReader, readAllOf } from '../models/safetensors-stream.ts';
import { addCounts, type FixedPointPlan, type PartialSum, sumOf, type TensorScale } from './fixed-point.ts';

const FORMAT = 'headwater-partial-sum-1';
const COUNTS = ['totalWeight', 'freshWeight', 'numUpdates', 'clamped'] as const;
type Counts = Record<(typeof COUNTS)[number], number>;

/** Pieces of the file; views of the sum, which must not change before they were taken. */
export function* encodeSum(plan: FixedPointPlan, sum: PartialSum): Generator<Uint8Array> {
  const { header, order } = layoutFormats(typesOf(plan, sum), metadataOf(plan, sum));
  yield header;
  for (const name of order) {
    const { buffer, byteOffset, byteLength } = sum.sums.get(name)!;
    yield new Uint8Array(buffer, byteOffset, byteLength);
  }
}

/** Adds an encoded sum to `sum`, in place. Throws RUN_CORRUPT when it is none of this plan. */
export async function addEncodedSum(
  plan: FixedPointPlan,
  sum: PartialSum,
  source: AsyncIterable<Uint8Array>,
): Promise<void> {
  const scales = new Map(plan.tensors.map((scale) => [scale.name, scale]));
  let counts: Counts | undefined;
  const reader = createSafetensorsReader(
    {
      header(header) {
        counts = countsOf(plan, header);
        if (sum.totalWeight + counts.totalWeight > plan.maxTotalWeight)
          throw damaged('the weights exceed what the plan allows');
        for (const entry of header.entries.values()) checkEntry(entry, scales.get(entry.name));
      },
      data(entry, offsetBytes, bytes) {
        const scale = scales.get(entry.name)!;
        addIntegers(sumOf(sum, scale), offsetBytes, bytes, boundOf(counts!, scale), entry.name);
      },
    },
    { mode: 'model' },
  );
  await readAllOf(source, reader);
  addCounts(sum, counts!);
}

function typesOf({ tensors }: FixedPointPlan, { sums }: PartialSum) {
  const used = tensors.filter(({ name }) => sums.has(name));
  return new Map(used.map(({ name, shape }) => [name, { format: 'F64', shape }]));
}

function metadataOf(plan: FixedPointPlan, sum: PartialSum): ReadonlyMap<string, string> {
  const counts = COUNTS.map((key) => [key, String(sum[key])] as const);
  return new Map([['format', FORMAT], ['plan', digestJson(plan)], ...counts]);
}

function countsOf(plan: FixedPointPlan, { metadata }: SafetensorsHeader): Counts {
  if (metadata.get('format') !== FORMAT) throw damaged('it is no partial sum');
  if (metadata.get('plan') !== digestJson(plan)) throw damaged('it belongs to another plan');
  const entries = COUNTS.map((key): [string, number] => {
    const value = Number(metadata.get(key) ?? Number.NaN);
    if (!Number.isSafeInteger(value) || value < 0) throw damaged(`${key} is ${metadata.get(key)}`);
    return [key, value];
  });
  return Object.fromEntries(entries) as Counts;
}

function checkEntry({ name, format, shape }: SafetensorsEntry, scale: TensorScale | undefined): void {
  if (scale === undefined || format !== 'F64' || !sameShape(shape, scale.shape))
    throw damaged(`tensor "${name}" (${format} [${shape}]) is not part of this run`);
}

/** No |S| can be larger: Σ w · Q. */
function boundOf({ totalWeight }: Counts, { range, fractionBits }: TensorScale): number {
  return totalWeight * Math.round(range * 2 ** fractionBits);
}

function addIntegers(
  target: Float64Array,
  offsetBytes: number,
  bytes: Uint8Array,
  bound: number,
  name: string,
): void {
  const values = new Float64Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 8);
  const begin = offsetBytes / 8;
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    if (!(value <= bound && value >= -bound) || value !== Math.floor(value))
      throw damaged(`tensor "${name}" has ${value} at element ${begin + i}`);
    target[begin + i]! += value;
  }
}

function damaged(what: string): HeadwaterError {
  return new HeadwaterError('RUN_CORRUPT', `a partial sum cannot be used: ${what}`);
}
