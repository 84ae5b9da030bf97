/**
 * Of each tensor only the k = max(1, round(fraction · n)) elements of largest magnitude travel, with their positions; the
 * client keeps what it did not send and adds it to its next update. 2 · fraction of the bytes. (Deep gradient
 * compression, Lin et al., ICLR 2018, arXiv:1712.01887; error feedback: Karimireddy et al., ICML 2019, arXiv:1901.09847.)
 */

import { z } from 'zod';
import { sizeOf } from '../../base/tensor.ts';
import type { Compression, EncodedTensor } from './compression.ts';

interface TopKOptions {
  readonly fraction: number;
}

export const topK: Compression<TopKOptions> = {
  id: 'top-k',
  summary: 'only the largest elements of each tensor; the rest waits at the client for a later round',
  options: z.strictObject({
    fraction: z.number().positive().max(1).default(0.1).describe('Share of the elements that travels.'),
  }),
  errorFeedback: true,
  layout(shape, { fraction }) {
    const count = [countOf(sizeOf(shape), fraction)];
    return {
      side: { suffix: ':indices', type: { dtype: 'int32', shape: count } },
      main: { suffix: ':values', type: { dtype: 'float32', shape: count } },
    };
  },
  encode: (values, { fraction }) => largest(values, countOf(values.length, fraction)),
  sideDefect(side, shape) {
    const indices = side as Int32Array;
    const size = sizeOf(shape);
    let last = -1;
    for (let i = 0; i < indices.length; i++) {
      const index = indices[i]!;
      if (index >= size || index < 0) return `index ${index} is outside its ${size} elements`;
      if (index <= last) return `index ${index} follows ${last}; indices must rise`;
      last = index;
    }
    return undefined;
  },
  decode(main, begin, side) {
    const values = main as Float32Array;
    return { values, indices: (side as Int32Array).subarray(begin, begin + values.length) };
  },
};

function countOf(size: number, fraction: number): number {
  return Math.min(size, Math.max(1, Math.round(fraction * size)));
}

/** Of equal magnitudes the first ones. NaN counts as largest, so that it is sent and refused rather than hidden. */
function largest(values: Float32Array, count: number): EncodedTensor {
  const side = new Int32Array(count);
  const main = new Float32Array(count);
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const { threshold, above } = thresholdOf(bits, count);
  let ties = count - above;
  let at = 0;
  for (let i = 0; i < bits.length && at < count; i++) {
    const magnitude = bits[i]! & 0x7fffffff;
    if (magnitude < threshold || (magnitude === threshold && ties-- <= 0)) continue;
    side[at] = i;
    main[at] = values[i]!;
    at += 1;
  }
  return { side, main };
}

/**
 * The count-th largest magnitude, and how many are larger. Bit patterns of non-negative floats are ordered like the floats:
 * two counting passes, over the upper and the lower half, find it without sorting.
 */
function thresholdOf(
  bits: Uint32Array,
  count: number,
): { readonly threshold: number; readonly above: number } {
  const upper = new Uint32Array(0x8000);
  for (let i = 0; i < bits.length; i++) upper[(bits[i]! & 0x7fffffff) >>> 16]! += 1;
  const high = rankIn(upper, count);
  const lower = new Uint32Array(0x10000);
  for (let i = 0; i < bits.length; i++)
    if ((bits[i]! & 0x7fffffff) >>> 16 === high.bin) lower[bits[i]! & 0xffff]! += 1;
  const low = rankIn(lower, count - high.above);
  return { threshold: high.bin * 0x10000 + low.bin, above: high.above + low.above };
}

/** The bin, counted from the top, that holds the count-th entry, and how many entries lie above it. */
function rankIn(bins: Uint32Array, count: number): { readonly bin: number; readonly above: number } {
  let above = 0;
  let bin = bins.length - 1;
  while (bin > 0 && above + bins[bin]! < count) {
    above += bins[bin]!;
    bin -= 1;
  }
  return { bin, above };
}
