/**
 * Masked updates read from streams: their form is checked, their words are added modulo 2³², and what is left after the masks were
 * taken away is the exact weighted sum of the updates. What an update holds cannot be looked at: that is the point of a mask.
 */

import { sameShape, sizeOf } from '../../base/tensor.ts';
import type { SafetensorsEntry, SafetensorsHeader } from '../../models/safetensors-header.ts';
import { createSafetensorsReader } from '../../models/safetensors-stream.ts';
import { addWords, wordsOfBytes } from '../../privacy/secure-aggregation/words.ts';
import { encodingOf } from '../compression/encode.ts';
import type { UpdateCheck } from '../events.ts';
import type { FixedPointPlan, PartialSum } from '../fixed-point.ts';
import { faulty, UpdateFault } from '../update-reader.ts';
import {
  CLAMPED,
  MASKED_ENCODING,
  type MaskedLayout,
  maskedLayout,
  type NamedShape,
} from './masked-vector.ts';

/** Names, shapes and size; its values say nothing. Errors of the source are thrown on. */
export async function checkMaskedStream(
  source: AsyncIterable<Uint8Array>,
  expected: readonly NamedShape[],
): Promise<UpdateCheck> {
  try {
    await readMasked(source, expected, () => undefined);
    return { ok: true, l2Norm: null };
  } catch (error) {
    if (error instanceof UpdateFault) return { ok: false, code: error.code, reason: error.message };
    throw error;
  }
}

/** target += the words of the file. Throws UpdateFault. */
export function addMaskedStream(
  target: Uint32Array,
  source: AsyncIterable<Uint8Array>,
  expected: readonly NamedShape[],
): Promise<void> {
  return readMasked(source, expected, (begin, words) => addWords(target, words, 1, begin));
}

async function readMasked(
  source: AsyncIterable<Uint8Array>,
  expected: readonly NamedShape[],
  onWords: (begin: number, words: Uint32Array) => void,
): Promise<void> {
  const layout = maskedLayout(expected);
  const reader = createSafetensorsReader(
    {
      header: (header) => checkHeader(header, expected, layout),
      data: ({ name }, offsetBytes, bytes) =>
        onWords(layout.begins.get(name)! + offsetBytes / 4, wordsOfBytes(bytes)),
    },
    { mode: 'upload' },
  );
  for await (const piece of source) faulty(() => reader.push(piece));
  faulty(() => reader.end());
}

function checkHeader(
  { entries, metadata }: SafetensorsHeader,
  expected: readonly NamedShape[],
  { begins }: MaskedLayout,
): void {
  const encoding = encodingOf(metadata);
  if (encoding !== MASKED_ENCODING)
    throw new UpdateFault(
      'format',
      `it is encoded as "${encoding.slice(0, 100)}", but this run takes masked updates only ("${MASKED_ENCODING}")`,
    );
  for (const { name, shape } of [...expected, { name: CLAMPED, shape: [1] }])
    checkEntry(name, shape, entries.get(name));
  const unknown = [...entries.keys()].find((name) => !begins.has(name));
  if (unknown !== undefined) throw new UpdateFault('shape', `tensor "${unknown}" is not part of this run`);
}

function checkEntry(name: string, shape: readonly number[], entry: SafetensorsEntry | undefined): void {
  if (entry === undefined) throw new UpdateFault('shape', `tensor "${name}" is missing`);
  if (!sameShape(entry.shape, shape))
    throw new UpdateFault('shape', `tensor "${name}" has shape [${entry.shape}], expected [${shape}]`);
  if (entry.dtype !== 'int32')
    throw new UpdateFault('format', `tensor "${name}" is ${entry.format}, expected I32`);
}

/** Who is in a sum. */
export interface SummedMembers {
  readonly totalWeight: number;
  readonly numUpdates: number;
}

/** The words of a sum whose masks are gone, as signed integers. `words` is not needed afterwards. */
export function unmaskedSum(
  plan: FixedPointPlan,
  words: Uint32Array,
  expected: readonly NamedShape[],
  { totalWeight, numUpdates }: SummedMembers,
): PartialSum {
  const { begins } = maskedLayout(expected);
  const signed = new Int32Array(words.buffer, words.byteOffset, words.length);
  const planned = new Set(plan.tensors.map(({ name }) => name));
  const sums = expected.flatMap(({ name, shape }) => {
    if (!planned.has(name)) return [];
    const begin = begins.get(name)!;
    return [[name, new Float64Array(signed.subarray(begin, begin + sizeOf(shape)))] as const];
  });
  const clamped = words[begins.get(CLAMPED)!]!;
  return { totalWeight, freshWeight: totalWeight, numUpdates, clamped, sums: new Map(sums) };
}
