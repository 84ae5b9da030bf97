/** Plain tensors: what travels between rooms, files, workers and engines. No mathematics lives here. */

import { assert } from './errors.ts';

export type DType = 'float32' | 'float16' | 'bfloat16' | 'int32' | 'int64' | 'int8' | 'uint8' | 'bool';

/** float16 and bfloat16 are carried as their 16-bit patterns; bool as bytes 0/1. */
export interface DTypeArrays {
  float32: Float32Array;
  float16: Uint16Array;
  bfloat16: Uint16Array;
  int32: Int32Array;
  int64: BigInt64Array;
  int8: Int8Array;
  uint8: Uint8Array;
  bool: Uint8Array;
}

export type TensorData = DTypeArrays[DType];

export interface TensorType {
  readonly dtype: DType;
  readonly shape: readonly number[];
}

export interface Tensor<D extends DType = DType> extends TensorType {
  readonly dtype: D;
  readonly data: DTypeArrays[D];
}

/** Named float32 tensors: adapter parameters, gradients, updates. Iteration order is canonical (sorted by name) where it matters. */
export type Params = ReadonlyMap<string, Tensor<'float32'>>;

export const BYTES_PER_ELEMENT: Record<DType, number> = {
  float32: 4,
  float16: 2,
  bfloat16: 2,
  int32: 4,
  int64: 8,
  int8: 1,
  uint8: 1,
  bool: 1,
};

const CONSTRUCTORS = {
  float32: Float32Array,
  float16: Uint16Array,
  bfloat16: Uint16Array,
  int32: Int32Array,
  int64: BigInt64Array,
  int8: Int8Array,
  uint8: Uint8Array,
  bool: Uint8Array,
} as const;

/** Number of elements of a shape; 1 for a scalar `[]`. */
export function sizeOf(shape: readonly number[]): number {
  let size = 1;
  for (const dim of shape) size *= dim;
  return size;
}

export function sizeBytes(type: TensorType): number {
  return sizeOf(type.shape) * BYTES_PER_ELEMENT[type.dtype];
}

export function tensor<D extends DType>(dtype: D, shape: readonly number[], data: DTypeArrays[D]): Tensor<D> {
  assert(data.length === sizeOf(shape), `tensor of shape [${shape}] got ${data.length} elements`);
  return { dtype, shape, data };
}

export function zeros<D extends DType>(dtype: D, shape: readonly number[]): Tensor<D> {
  return { dtype, shape, data: new CONSTRUCTORS[dtype](sizeOf(shape)) as DTypeArrays[D] };
}

/** A typed view over bytes (copied when the offset is not aligned to the element size). */
export function arrayFromBytes<D extends DType>(dtype: D, bytes: Uint8Array): DTypeArrays[D] {
  const width = BYTES_PER_ELEMENT[dtype];
  assert(bytes.byteLength % width === 0, `${bytes.byteLength} bytes are no whole ${dtype} array`);
  // Not slice(): that of a Buffer is a view.
  const aligned = bytes.byteOffset % width === 0 ? bytes : new Uint8Array(bytes);
  const ctor = CONSTRUCTORS[dtype] as unknown as new (
    b: ArrayBufferLike,
    o: number,
    n: number,
  ) => DTypeArrays[D];
  return new ctor(aligned.buffer, aligned.byteOffset, bytes.byteLength / width);
}

export function bytesOf(data: TensorData): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

export function sameShape(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((dim, i) => dim === b[i]);
}
