/**
 * How an update travels: a record says what one tensor becomes on the wire and how pieces of it are read back. It sees one
 * flat tensor at a time and knows no files, no rounds and no clients; files are written in `encode.ts` and read in
 * `update-reader.ts`.
 */

import type { z } from 'zod';
import type { Rng } from '../../base/random.ts';
import type { DTypeArrays, TensorData, TensorType } from '../../base/tensor.ts';

/** A tensor of the file, named by the travelling tensor and this suffix. */
export interface EncodedPart {
  readonly suffix: string;
  readonly type: TensorType;
}

/** What a tensor becomes: `main` is read in pieces; `side`, if any, is read whole before it and must lie before it. */
export interface EncodedLayout {
  readonly side?: EncodedPart;
  readonly main: EncodedPart;
}

export interface EncodedTensor {
  readonly side?: TensorData;
  readonly main: TensorData;
}

/** Decoded values: of the elements from `begin` on, or, where `indices` are given, of these elements. */
export interface DecodedPiece {
  readonly values: Float32Array;
  readonly indices?: Int32Array;
}

export interface Compression<O> {
  /** The one id: file name, recipe, metadata of the file on the wire. */
  readonly id: string;
  readonly summary: string;
  readonly options: z.ZodType<O>;
  /** True: what an encoding loses is kept by the client and added to its next update. */
  readonly errorFeedback: boolean;
  layout(shape: readonly number[], options: O): EncodedLayout;
  /** `random` is seeded by run, owner, round and tensor. */
  encode(values: Float32Array, options: O, random: Rng): EncodedTensor;
  /** What is wrong with a side tensor from a stranger. */
  sideDefect?(side: TensorData, shape: readonly number[], options: O): string | undefined;
  /** Elements begin, begin + 1 … of `main`. The result may be overwritten by the next call. */
  decode(main: TensorData, begin: number, side: TensorData | undefined, options: O): DecodedPiece;
}

/** A record with its options inside. */
export interface BoundCompression {
  readonly id: string;
  readonly errorFeedback: boolean;
  layout(shape: readonly number[]): EncodedLayout;
  encode(values: Float32Array, random: Rng): EncodedTensor;
  sideDefect(side: TensorData, shape: readonly number[]): string | undefined;
  decode(main: TensorData, begin: number, side: TensorData | undefined): DecodedPiece;
}

/** `options` were parsed by `compression.options`. */
export function bindCompression<O>(compression: Compression<O>, options: O): BoundCompression {
  return {
    id: compression.id,
    errorFeedback: compression.errorFeedback,
    layout: (shape) => compression.layout(shape, options),
    encode: (values, random) => compression.encode(values, options, random),
    sideDefect: (side, shape) => compression.sideDefect?.(side, shape, options),
    decode: (main, begin, side) => compression.decode(main, begin, side, options),
  };
}

/** An array that grows to the largest piece and is used again for each: pieces come by the thousand. */
export function scratch(): (length: number) => DTypeArrays['float32'] {
  let buffer = new Float32Array(0);
  return (length) => {
    if (buffer.length < length) buffer = new Float32Array(length);
    return buffer.subarray(0, length);
  };
}
