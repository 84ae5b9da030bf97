/** An order of execution that ONNX Runtime has to keep: a value that cannot be used before others are computed. */

import { assert } from '../base/errors.ts';
import { sizeOf } from '../base/tensor.ts';
import type { Value } from './ir.ts';
import { concat, equal, reduceSum, reshape, slice, where } from './ops/index.ts';

/**
 * `x`, bit for bit, once all `signals` (float32) are computed: where(s = s, x, x) with s the sum of one element of each. A
 * copy that no optimizer of ONNX Runtime takes away, made of kernels that every provider has.
 */
export function availableAfter(x: Value, signals: readonly Value[]): Value {
  assert(signals.length > 0, 'a value waits for nothing');
  const elements = signals.map((signal) =>
    slice(reshape(signal, [sizeOf(signal.shape)]), { axis: 0, start: 0, end: 1 }),
  );
  const sum = reduceSum(concat(elements, 0), [0], true);
  return where(equal(sum, sum), x, x);
}
