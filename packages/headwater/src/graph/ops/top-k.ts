/** The k largest elements of each row, for what is read out of a network and never differentiated. */

import { assert } from '../../base/errors.ts';
import { type Attrs, apply, defineOp, type Value } from '../ir.ts';
import { dim } from '../shapes.ts';
import { only } from './types.ts';

interface TopKAttrs extends Attrs {
  readonly k: number;
}

const TOP_K = defineOp<TopKAttrs>({
  id: 'topK',
  infer: (inputs, { k }) => {
    const { shape } = only(inputs);
    assert(shape.length === 2 && k >= 1 && k <= dim(shape, 1), `the ${k} largest of [${shape}]`);
    return [{ dtype: 'int32', shape: [dim(shape, 0), k] }];
  },
  vjp: { nonDifferentiable: 'its result is an index' },
  onnx: (c, { k }) => {
    const [, indices] = c.emit(
      'TopK',
      [only(c.inputs), c.ints([k])],
      { axis: { int: -1 }, largest: { int: 1 }, sorted: { int: 1 } },
      { outputs: 2 },
    );
    assert(indices !== undefined, 'TopK has two outputs');
    return c.emit('Cast', [indices], { to: { int: 6 } });
  },
  reference: (inputs, { k }) => {
    const { shape, data } = only(inputs);
    const [rows, width] = [dim(shape, 0), dim(shape, 1)];
    const largest = (row: number) => {
      const at = (i: number) => data[row * width + i] as number;
      const order = Array.from({ length: width }, (_, i) => i);
      return order.sort((a, b) => at(b) - at(a) || a - b).slice(0, k);
    };
    const indices = Array.from({ length: rows }, (_, row) => largest(row));
    return [{ shape: [rows, k], data: Float64Array.from(indices.flat()) }];
  },
});

/** Indices of the k largest elements of each row, the largest first, the first of equals first: [M, V] → int32 [M, k]. */
export const topK = (x: Value, k: number): Value => apply(TOP_K, [x], { k });
