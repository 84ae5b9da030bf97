/**
 * An update as the words that are masked, and their file: each element is w · q with q its fixed-point integer, modulo 2³²; one
 * further word counts what had to be clamped. The file is safetensors with the tensors of the wire as I32, so that its data are the
 * words in their order. It knows no keys.
 */

import { digestJson } from '../../base/canonical.ts';
import { HeadwaterError } from '../../base/errors.ts';
import type { Params } from '../../base/tensor.ts';
import { layoutSafetensors } from '../../models/safetensors.ts';
import { quantise } from '../fixed-point.ts';
import type { Masking } from './secure-aggregation.ts';

/** A tensor of the file beside those of the update. */
export const CLAMPED = 'headwater.clamped';
export const MASKED_ENCODING = 'masked-uint32';

export interface NamedShape {
  readonly name: string;
  readonly shape: readonly number[];
}

export interface MaskedLayout {
  readonly header: Uint8Array;
  /** Of all tensors together. */
  readonly words: number;
  readonly fileBytes: number;
  /** Where each tensor begins, in words. */
  readonly begins: ReadonlyMap<string, number>;
}

/** `tensors`: those of the wire. */
export function maskedLayout(tensors: readonly NamedShape[]): MaskedLayout {
  const types = [...tensors, { name: CLAMPED, shape: [1] }].map(
    ({ name, shape }) => [name, { dtype: 'int32', shape }] as const,
  );
  const metadata = new Map([
    ['format', 'pt'],
    ['encoding', MASKED_ENCODING],
  ]);
  const { header, starts, fileBytes } = layoutSafetensors(new Map(types), metadata);
  const begins = [...starts].map(([name, start]) => [name, (start - header.byteLength) / 4] as const);
  return { header, words: (fileBytes - header.byteLength) / 4, fileBytes, begins: new Map(begins) };
}

/** Of what the words mean: two vectors of one digest may be added. */
export function layoutDigest(
  tensors: readonly NamedShape[],
  { fractionBits, range }: Pick<Masking, 'fractionBits' | 'range'>,
): string {
  const shapes = tensors.map(({ name, shape }) => [name, [...shape]] as const);
  return digestJson({ fractionBits, range, tensors: Object.fromEntries(shapes) });
}

export interface MaskedFile {
  /** The whole file; the words are a part of its memory. */
  readonly bytes: Uint8Array;
  readonly words: Uint32Array;
}

/** Not masked yet: whoever has it must mask `words` before `bytes` goes anywhere. */
export function unmaskedFile(update: Params, masking: Omit<Masking, 'attempt'>): MaskedFile {
  const tensors = [...update].map(([name, { shape }]) => ({ name, shape }));
  const { header, words: count, fileBytes, begins } = maskedLayout(tensors);
  const bytes = new Uint8Array(fileBytes);
  bytes.set(header);
  const words = new Uint32Array(bytes.buffer, header.byteLength, count);
  let clamped = 0;
  for (const [name, { data }] of update) clamped += fill(words.subarray(begins.get(name)!), data, masking);
  words[begins.get(CLAMPED)!] = clamped;
  return { bytes, words };
}

/** How many values were outside ±range. */
function fill(words: Uint32Array, data: Float32Array, masking: Omit<Masking, 'attempt'>): number {
  const { weight, range } = masking;
  let clamped = 0;
  for (let i = 0; i < data.length; i++) {
    const x = data[i]!;
    if (!(Math.abs(x) <= range)) clamped += checkedClamp(x);
    words[i] = weight * quantise(x, masking);
  }
  return clamped;
}

/** Nobody could see it afterwards. Throws UPDATE_REJECTED. */
function checkedClamp(x: number): 1 {
  if (Number.isFinite(x)) return 1;
  throw new HeadwaterError('UPDATE_REJECTED', `the update has ${x} in it, which a mask would hide`);
}
