/**
 * Of each tensor only the k = max(1, round(fraction · n)) elements of largest magnitude travel, with their positions; the
 * client keeps what it did not send and adds it to its next update. 2 · fraction of the bytes. (Deep gradient
 * compression, Lin et al., ICLR 2018, arXiv:1712.01887; error feedback: Karimireddy et al., ICML 2019, arXiv:1901.09847.)
 */

import { z } from 'zod';
import { sizeOf } from '../../base/tensor.ts';
import { largestElements } from '../largest-elements.ts';
import type { Compression } from './compression.ts';

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
  encode(values, { fraction }) {
    const { indices, values: main } = largestElements(values, countOf(values.length, fraction));
    return { side: indices, main };
  },
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
