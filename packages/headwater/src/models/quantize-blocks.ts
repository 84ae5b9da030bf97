/**
 * Rounds a matrix to blocks of small integers, each block with its own scale and zero point (affine rounding to nearest,
 * the range of a block always holding 0). Pure arithmetic in one order: the same matrix gives the same bytes everywhere.
 */

import type { BlockFormat } from '../graph/ops/index.ts';
import { blockShapes } from '../graph/ops/index.ts';

export interface QuantizedArrays {
  readonly packed: Uint8Array;
  readonly scales: Float32Array;
  readonly zeroPoints: Uint8Array;
}

/**
 * W [E, D] row by row, or [D, E] when `inOut`, as `graph/ops/quantized.ts` reads it. With lo = min(block, 0),
 * hi = max(block, 0): s = (hi − lo) / (2^bits − 1), z = round(−lo / s), q = round(w / s) + z, cut to 0 … 2^bits − 1.
 */
export function quantizeMatrix(
  values: Float32Array,
  [E, D]: readonly [number, number],
  format: BlockFormat,
  inOut = false,
): QuantizedArrays {
  const { bits, blockSize } = format;
  const shapes = blockShapes(E, D, format);
  const scales = new Float32Array(shapes.scales[0] * shapes.scales[1]);
  const zeroPoints = new Uint8Array(scales.length);
  const numbers = new Uint8Array(E * D);
  const [stepE, stepD] = inOut ? [1, E] : [D, 1];
  for (let block = 0; block < scales.length; block++) {
    const first = block * blockSize;
    const from = Math.floor(first / D) * stepE + (first % D) * stepD;
    const range = rangeOf(values, from, stepD, blockSize);
    const scale = Math.fround((range.high - range.low) / (2 ** bits - 1));
    const zero = scale === 0 ? 0 : Math.round(-range.low / scale);
    scales[block] = scale;
    zeroPoints[block] = zero;
    for (let i = 0; i < blockSize; i++)
      numbers[first + i] = nearest(values[from + i * stepD] as number, scale, zero, 2 ** bits - 1);
  }
  return bits === 8
    ? { packed: numbers, scales, zeroPoints }
    : { packed: halved(numbers), scales, zeroPoints: halved(zeroPoints) };
}

function rangeOf(values: Float32Array, from: number, step: number, count: number) {
  let [low, high] = [0, 0];
  for (let i = 0; i < count; i++) {
    const value = values[from + i * step] as number;
    if (value < low) low = value;
    else if (value > high) high = value;
  }
  return { low, high };
}

function nearest(value: number, scale: number, zero: number, most: number): number {
  if (scale === 0) return zero;
  return Math.min(most, Math.max(0, Math.round(value / scale) + zero));
}

/** Two 4-bit numbers in each byte, the first in the low half. */
function halved(numbers: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(Math.ceil(numbers.length / 2));
  for (let i = 0; i < numbers.length; i++)
    bytes[i >> 1] = (bytes[i >> 1] as number) | ((numbers[i] as number) << (4 * (i & 1)));
  return bytes;
}
