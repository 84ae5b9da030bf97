/** Reading rows by index and its adjoint, adding rows up by index. */

import { assert } from '../../base/errors.ts';
import type { TensorType } from '../../base/tensor.ts';
import { tensor } from '../../base/tensor.ts';
import { apply, defineOp, type Value } from '../ir.ts';
import { at, refTensor } from '../ref-array.ts';
import { axisOf, dim } from '../shapes.ts';
import { cast, equal, mul, uncast } from './arithmetic.ts';
import { reshape } from './shape.ts';
import { two } from './types.ts';

const GATHER = defineOp<{ axis: number }>({
  id: 'gather',
  infer: (inputs, { axis }) => {
    const [data, indices] = two(inputs);
    assert(indices.dtype === 'int32', `gather by ${indices.dtype}`);
    return [
      {
        dtype: data.dtype,
        shape: [...data.shape.slice(0, axis), ...indices.shape, ...data.shape.slice(axis + 1)],
      },
    ];
  },
  vjp: ({ inputs, attrs, grads }) => {
    const [data, indices] = two(inputs);
    if (grads[0] === undefined) return [];
    assert(attrs.axis === 0 && indices.shape.length === 1, 'gather is differentiated for rows only');
    const width = data.shape.slice(1).reduce((product, size) => product * size, 1);
    const rows = reshape(grads[0], [dim(indices.shape, 0), width]);
    return [reshape(scatterAddRows(rows, indices, dim(data.shape, 0)), data.shape)];
  },
  onnx: (c, { axis }) => c.emit('Gather', c.inputs, { axis: { int: axis } }),
  reference: (inputs, { axis }, [out]) => {
    const [data, indices] = two(inputs);
    const rank = indices.shape.length;
    return [
      refTensor((out as TensorType).shape, (_, index) => {
        const picked = at(indices, index.slice(axis, axis + rank));
        return at(data, [...index.slice(0, axis), picked, ...index.slice(axis + rank)]);
      }),
    ];
  },
});

/** data[.., indices, ..] along `axis`; indices int32 of any shape. A cast below is moved above, onto the rows taken. */
export function gather(data: Value, indices: Value, axis = 0): Value {
  const stored = uncast(data);
  const rows = apply(GATHER, [stored, indices], { axis: axisOf(axis, data.shape.length) });
  return cast(rows, data.dtype);
}

const SCATTER_ADD_ROWS = defineOp<{ numRows: number }>({
  id: 'scatterAddRows',
  infer: (inputs, { numRows }) => {
    const [rows, indices] = two(inputs);
    assert(
      rows.shape.length === 2 && indices.shape.length === 1 && rows.shape[0] === indices.shape[0],
      `scatterAddRows [${rows.shape}] by [${indices.shape}]`,
    );
    return [{ dtype: rows.dtype, shape: [numRows, dim(rows.shape, 1)] }];
  },
  vjp: ({ inputs, grads }) => [grads[0] && gather(grads[0], two(inputs)[1])],
  // Duplicates are summed in index order on CPU, by atomics (any order) on WebGPU.
  onnx: (c, { numRows }) => {
    const [rows, indices] = two(c.inputs);
    const [count, width] = [dim(c.inputTypes[0]?.shape ?? [], 0), dim(c.inputTypes[0]?.shape ?? [], 1)];
    const [zeros] = c.emit('Expand', [c.scalar(0), c.ints([numRows, width])]);
    const [column] = c.emit('Reshape', [indices, c.ints([count, 1])]);
    const [wide] = c.emit('Expand', [column, c.ints([count, width])]);
    return c.emit('ScatterElements', [zeros, wide, rows], { axis: { int: 0 }, reduction: { string: 'add' } });
  },
  reference: (inputs, _, [out]) => {
    const [rows, indices] = two(inputs);
    const { shape } = out as TensorType;
    const width = dim(shape, 1);
    const data = new Float64Array(dim(shape, 0) * width);
    for (const [i, target] of indices.data.entries())
      for (let j = 0; j < width; j++)
        data[target * width + j] =
          (data[target * width + j] as number) + (rows.data[i * width + j] as number);
    return [{ shape, data }];
  },
});

/** Zeros [numRows, D] with row i of `rows` [N, D] added at indices[i]. */
export function scatterAddRows(rows: Value, indices: Value, numRows: number): Value {
  return apply(SCATTER_ADD_ROWS, [rows, indices], { numRows });
}

const TAKE_LAST = defineOp<Record<string, never>>({
  id: 'takeLast',
  infer: (inputs) => {
    const [data, indices] = two(inputs);
    assert(
      data.shape.length === 2 && data.shape[0] === indices.shape[0],
      `takeLast [${data.shape}] by [${indices.shape}]`,
    );
    return [{ dtype: data.dtype, shape: indices.shape }];
  },
  // The adjoint writes g into one column of each row: (iota = index) · g.
  vjp: ({ inputs, grads }) => {
    const [data, indices] = two(inputs);
    const g = grads[0];
    if (g === undefined) return [];
    const [rows, width] = [dim(data.shape, 0), dim(data.shape, 1)];
    const iota = data.graph.constant(
      tensor(
        'int32',
        [1, width],
        Int32Array.from({ length: width }, (_, i) => i),
      ),
    );
    return [mul(cast(equal(iota, reshape(indices, [rows, 1])), 'float32'), reshape(g, [rows, 1]))];
  },
  onnx: (c) => {
    const [data, indices] = two(c.inputs);
    const rows = dim(c.inputTypes[1]?.shape ?? [], 0);
    const [column] = c.emit('Reshape', [indices, c.ints([rows, 1])]);
    const [picked] = c.emit('GatherElements', [data, column], { axis: { int: 1 } });
    return c.emit('Reshape', [picked, c.ints([rows])]);
  },
  reference: (inputs, _, [out]) => {
    const [data, indices] = two(inputs);
    return [refTensor((out as TensorType).shape, (flat) => at(data, [flat, indices.data[flat] as number]))];
  },
});

/** data[i, indices[i]]: [M, V], int32 [M] → [M]. */
export function takeLast(data: Value, indices: Value): Value {
  return apply(TAKE_LAST, [data, indices], {});
}
