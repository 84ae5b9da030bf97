/** 16-bit floats: IEEE 754 binary16 and bfloat16 bit patterns to and from float32. Widening is exact, narrowing rounds to nearest even. */

import { assert } from './errors.ts';
import { type DType, type Tensor, tensor } from './tensor.ts';

/** bfloat16 is the upper half of a float32. */
export function bfloat16ToFloat32(bits: Uint16Array): Float32Array<ArrayBuffer> {
  const words = new Uint32Array(bits.length);
  for (let i = 0; i < bits.length; i++) words[i] = (bits[i] as number) << 16;
  return new Float32Array(words.buffer);
}

export function float32ToBfloat16(values: Float32Array): Uint16Array<ArrayBuffer> {
  const words = new Uint32Array(Float32Array.from(values).buffer);
  const bits = new Uint16Array(values.length);
  for (const [i, word] of words.entries()) {
    const isNotANumber = (word & 0x7fffffff) > 0x7f800000;
    // Adding half a unit (less one when the kept half is even) before cutting rounds ties to even.
    bits[i] = isNotANumber ? (word >>> 16) | 0x40 : (word + 0x7fff + ((word >>> 16) & 1)) >>> 16;
  }
  return bits;
}

/** Every binary16 pattern widened, made on first use: updates and checkpoints have millions of elements. */
let widened: Float32Array | undefined;

export function float16ToFloat32(bits: Uint16Array): Float32Array<ArrayBuffer> {
  widened ??= Float32Array.from({ length: 0x10000 }, (_, pattern) => float16Value(pattern));
  const result = new Float32Array(bits.length);
  for (let i = 0; i < bits.length; i++) result[i] = widened[bits[i] as number] as number;
  return result;
}

/** Value of one binary16 pattern: sign, 5 exponent bits (bias 15), 10 fraction bits. */
function float16Value(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

export function float32ToFloat16(values: Float32Array): Uint16Array<ArrayBuffer> {
  const bits = new Uint16Array(values.length);
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length);
  for (let i = 0; i < bits.length; i++) bits[i] = float16Bits(words[i] as number, values[i] as number);
  return bits;
}

/** `word` is the bit pattern of `value`. */
function float16Bits(word: number, value: number): number {
  const sign = (word >>> 16) & 0x8000;
  const magnitude = word & 0x7fffffff;
  if (magnitude > 0x7f800000) return 0x7e00;
  // 65520 is half-way between the largest float16 and 2^16.
  if (magnitude >= 0x477ff000) return sign | 0x7c00;
  // Below 2^−14 the result counts multiples of 2^−24; adding 1.5 · 2^52 rounds to whole numbers, ties to even.
  if (magnitude < 0x38800000) return sign | (Math.abs(value) * 2 ** 24 + MAGIC - MAGIC);
  // The exponent's bias changes from 127 to 15 and 13 fraction bits go; a carry into the exponent is what rounding means.
  const kept = magnitude - ((127 - 15) << 23);
  return sign | ((kept + 0xfff + ((kept >>> 13) & 1)) >>> 13);
}

const MAGIC = 1.5 * 2 ** 52;

/** Values of a floating-point tensor as float32; a float32 tensor gives its own array, uncopied. */
export function float32Values({ dtype, data }: Tensor): Float32Array {
  if (dtype === 'float32') return data as Float32Array;
  if (dtype === 'bfloat16') return bfloat16ToFloat32(data as Uint16Array);
  assert(dtype === 'float16', `${dtype} holds no real numbers`);
  return float16ToFloat32(data as Uint16Array);
}

/** float32 values in a floating-point dtype, rounded to nearest even; float32 keeps its array, uncopied. */
export function narrowed(
  dtype: 'float32' | 'float16' | 'bfloat16',
  shape: readonly number[],
  values: Float32Array,
): Tensor {
  if (dtype === 'float32') return tensor(dtype, shape, values);
  return tensor(dtype, shape, dtype === 'float16' ? float32ToFloat16(values) : float32ToBfloat16(values));
}

/** In every IEEE-like format all exponent bits set means Inf or NaN. */
const EXPONENT_MASKS: Partial<Record<DType, number>> = {
  float32: 0x7f800000,
  float16: 0x7c00,
  bfloat16: 0x7f80,
};

/** Index of the first NaN or infinity of a floating-point tensor, −1 when there is none (or the dtype has none). */
export function firstNonFinite({ dtype, data }: Tensor): number {
  const mask = EXPONENT_MASKS[dtype];
  if (mask === undefined) return -1;
  // Whole checkpoints are scanned: a plain loop over bit patterns takes a third of findIndex's time.
  const bits =
    dtype === 'float32' ? new Uint32Array(data.buffer, data.byteOffset, data.length) : (data as Uint16Array);
  for (let i = 0; i < bits.length; i++) if (((bits[i] as number) & mask) === mask) return i;
  return -1;
}
