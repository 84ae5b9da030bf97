/**
 * Blocks of 256 elements share a scale s = max|x| / 127, and each element becomes q = ⌊x / s + u⌋ with u uniform in
 * [0, 1): E[s · q] = x, so that the errors of many clients cancel. About a quarter of the bytes. (QSGD, Alistarh et al.,
 * NeurIPS 2017, arXiv:1610.02132, with the maximum instead of the 2-norm.)
 */

import { z } from 'zod';
import type { Rng } from '../../base/random.ts';
import { sizeOf } from '../../base/tensor.ts';
import type { Compression, EncodedTensor } from './compression.ts';
import { scratch } from './compression.ts';

const BLOCK = 256;
const LEVELS = 127;

const room = scratch();

export const int8: Compression<Record<string, never>> = {
  id: 'int8',
  summary: '8 bits an element, one scale for 256 elements, stochastic rounding: about a quarter of the bytes',
  options: z.strictObject({}),
  errorFeedback: false,
  layout: (shape) => ({
    side: { suffix: ':scales', type: { dtype: 'float32', shape: [Math.ceil(sizeOf(shape) / BLOCK)] } },
    main: { suffix: '', type: { dtype: 'int8', shape } },
  }),
  encode,
  sideDefect(side) {
    const scales = side as Float32Array;
    for (let i = 0; i < scales.length; i++)
      if (!(scales[i]! >= 0 && scales[i]! < Number.POSITIVE_INFINITY)) return `scale ${i} is ${scales[i]}`;
    return undefined;
  },
  decode(main, begin, side) {
    const levels = main as Int8Array;
    const scales = side as Float32Array;
    const values = room(levels.length);
    for (let i = 0; i < levels.length; i++) values[i] = levels[i]! * scales[(begin + i) >> 8]!;
    return { values };
  },
};

function encode(values: Float32Array, _options: Record<string, never>, random: Rng): EncodedTensor {
  const main = new Int8Array(values.length);
  const side = new Float32Array(Math.ceil(values.length / BLOCK));
  for (let block = 0; block < side.length; block++) {
    const begin = block * BLOCK;
    const end = Math.min(begin + BLOCK, values.length);
    let largest = 0;
    for (let i = begin; i < end; i++) largest = Math.max(largest, Math.abs(values[i]!));
    side[block] = largest / LEVELS;
    const scale = side[block]!;
    // A block so small that its scale is no float32 is zero.
    if (scale === 0) continue;
    for (let i = begin; i < end; i++) {
      const level = Math.floor(values[i]! / scale + random.uint32() * 2 ** -32);
      main[i] = Math.max(-LEVELS, Math.min(LEVELS, level));
    }
  }
  return { side, main };
}
