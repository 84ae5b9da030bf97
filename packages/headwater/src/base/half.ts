/** 16-bit floats as numbers: IEEE 754 binary16 and bfloat16 bit patterns widened to float32. Widening is exact. */

import { assert } from './errors.ts';
import type { Tensor } from './tensor.ts';

/** bfloat16 is the upper half of a float32. */
export function widenBfloat16(bits: Uint16Array): Float32Array<ArrayBuffer> {
  const words = new Uint32Array(bits.length);
  for (let i = 0; i < bits.length; i++) words[i] = (bits[i] as number) << 16;
  return new Float32Array(words.buffer);
}

export function widenFloat16(bits: Uint16Array): Float32Array<ArrayBuffer> {
  const result = new Float32Array(bits.length);
  for (let i = 0; i < bits.length; i++) result[i] = float16Value(bits[i] as number);
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

/** Values of a floating-point tensor as float32; a float32 tensor gives its own array, uncopied. */
export function float32Values(tensor: Tensor): Float32Array {
  if (tensor.dtype === 'float32') return tensor.data as Float32Array;
  if (tensor.dtype === 'bfloat16') return widenBfloat16(tensor.data as Uint16Array);
  assert(tensor.dtype === 'float16', `${tensor.dtype} holds no real numbers`);
  return widenFloat16(tensor.data as Uint16Array);
}

/** Index of the first NaN or infinity of a floating-point tensor, −1 when there is none (or the dtype has none). */
export function firstNonFinite(tensor: Tensor): number {
  const { dtype, data } = tensor;
  if (dtype === 'float32') return (data as Float32Array).findIndex((value) => !Number.isFinite(value));
  // All exponent bits set is Inf or NaN in both 16-bit formats.
  const mask = dtype === 'float16' ? 0x7c00 : dtype === 'bfloat16' ? 0x7f80 : undefined;
  return mask === undefined ? -1 : (data as Uint16Array).findIndex((bits) => (bits & mask) === mask);
}
