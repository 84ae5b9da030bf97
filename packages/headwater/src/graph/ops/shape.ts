/**
 * Ops that move data without arithmetic, and their adjoints beside them: expand ↔ reduceSum, slice ↔ pad, reshape and
 * transpose with themselves.
 */

import { assert } from '../../base/errors.ts';
import { sameShape, sizeOf } from '../../base/tensor.ts';
import { type Attrs, apply, defineOp, type Value } from '../ir.ts';
import { at, broadcastAt, forEachIndex, refTensor } from '../ref-array.ts';
import { axisOf, broadcastShapes, reducedShape, type Shape } from '../shapes.ts';
import { only } from './types.ts';

const RESHAPE = defineOp<{ shape: Shape }>({
  id: 'reshape',
  infer: ([x], { shape }) => {
    assert(x !== undefined && sizeOf(x.shape) === sizeOf(shape), `reshape [${x?.shape}] to [${shape}]`);
    return [{ dtype: x.dtype, shape }];
  },
  vjp: ({ inputs, grads }) => [grads[0] && reshape(grads[0], only(inputs).shape)],
  onnx: (c, { shape }) => c.emit('Reshape', [only(c.inputs), c.ints(shape)]),
  reference: ([x], { shape }) => [{ shape, data: (x as { data: Float64Array }).data.slice() }],
});

/** Same elements in row-major order under another shape. */
export function reshape(x: Value, shape: Shape): Value {
  return sameShape(x.shape, shape) ? x : apply(RESHAPE, [x], { shape });
}

/**
 * `x` under a younger node. ONNX Runtime orders nodes depth first and takes the youngest input first, so what `x` waits
 * for is done before the other input of a product is computed.
 */
export function after(x: Value): Value {
  return apply(RESHAPE, [x], { shape: x.shape });
}

const TRANSPOSE = defineOp<{ perm: readonly number[] }>({
  id: 'transpose',
  infer: ([x], { perm }) => {
    assert(x !== undefined && perm.length === x.shape.length, `transpose [${x?.shape}] by [${perm}]`);
    return [{ dtype: x.dtype, shape: perm.map((p) => x.shape[p] as number) }];
  },
  vjp: ({ attrs, grads }) => [grads[0] && transpose(grads[0], inverse(attrs.perm))],
  onnx: (c, { perm }) => c.emit('Transpose', c.inputs, { perm: { ints: perm } }),
  reference: ([x], { perm }, [out]) => {
    const source = new Array<number>(perm.length);
    return [
      refTensor((out as { shape: Shape }).shape, (_, index) => {
        for (const [i, p] of perm.entries()) source[p] = index[i] as number;
        return at(x as never, source);
      }),
    ];
  },
});

function inverse(perm: readonly number[]): number[] {
  const result = new Array<number>(perm.length);
  for (const [i, p] of perm.entries()) result[p] = i;
  return result;
}

/** Output axis i is input axis perm[i]. */
export function transpose(x: Value, perm: readonly number[]): Value {
  return apply(TRANSPOSE, [x], { perm });
}

const EXPAND = defineOp<{ shape: Shape }>({
  id: 'expand',
  infer: ([x], { shape }) => {
    assert(
      x !== undefined && sameShape(broadcastShapes(x.shape, shape), shape),
      `expand [${x?.shape}] to [${shape}]`,
    );
    return [{ dtype: x.dtype, shape }];
  },
  vjp: ({ inputs, grads }) => [grads[0] && sumTo(grads[0], only(inputs).shape)],
  onnx: (c, { shape }) => c.emit('Expand', [only(c.inputs), c.ints(shape)]),
  reference: ([x], { shape }) => [refTensor(shape, (_, index) => broadcastAt(x as never, index))],
});

/** Broadcasts to `shape`. */
export function expand(x: Value, shape: Shape): Value {
  return sameShape(x.shape, shape) ? x : apply(EXPAND, [x], { shape });
}

interface ReduceAttrs extends Attrs {
  readonly axes: readonly number[];
  readonly keepDims: boolean;
}

const REDUCE_SUM = defineOp<ReduceAttrs>({
  id: 'reduceSum',
  infer: ([x], { axes, keepDims }) => {
    assert(x !== undefined, 'reduceSum needs an input');
    return [{ dtype: x.dtype, shape: reducedShape(x.shape, axes, keepDims) }];
  },
  vjp: ({ inputs, attrs, grads }) => {
    const x = only(inputs);
    return [grads[0] && expand(reshape(grads[0], reducedShape(x.shape, attrs.axes, true)), x.shape)];
  },
  onnx: (c, { axes, keepDims }) =>
    c.emit('ReduceSum', [only(c.inputs), c.ints(axes)], { keepdims: { int: keepDims ? 1 : 0 } }),
  reference: ([x], { axes }, [out]) => {
    const input = x as { shape: Shape; data: Float64Array };
    const kept = reducedShape(input.shape, axes, true);
    const sums = new Float64Array(sizeOf(kept));
    forEachIndex(input.shape, (index, flat) => {
      let target = 0;
      for (const [i, size] of kept.entries())
        target = target * size + (size === 1 ? 0 : (index[i] as number));
      sums[target] = (sums[target] as number) + (input.data[flat] as number);
    });
    return [{ shape: (out as { shape: Shape }).shape, data: sums }];
  },
});

/** Sum over `axes`. */
export function reduceSum(x: Value, axes: readonly number[], keepDims = false): Value {
  return apply(REDUCE_SUM, [x], { axes: axes.map((axis) => axisOf(axis, x.shape.length)), keepDims });
}

/** Adjoint of broadcasting: sums `x` down to `shape`. */
export function sumTo(x: Value, shape: Shape): Value {
  if (sameShape(x.shape, shape)) return x;
  const extra = x.shape.length - shape.length;
  const axes = x.shape.flatMap((size, i) => (i < extra || (shape[i - extra] === 1 && size !== 1) ? [i] : []));
  return reshape(axes.length === 0 ? x : reduceSum(x, axes, true), shape);
}

interface SliceAttrs extends Attrs {
  readonly axis: number;
  readonly start: number;
  readonly end: number;
}

const SLICE = defineOp<SliceAttrs>({
  id: 'slice',
  infer: ([x], { axis, start, end }) => {
    assert(
      x !== undefined && start >= 0 && start < end && end <= (x.shape[axis] ?? 0),
      `slice [${x?.shape}] ${axis}:${start}..${end}`,
    );
    return [{ dtype: x.dtype, shape: x.shape.map((size, i) => (i === axis ? end - start : size)) }];
  },
  vjp: ({ inputs, attrs, grads }) => {
    const size = only(inputs).shape[attrs.axis] as number;
    return [grads[0] && pad(grads[0], attrs.axis, attrs.start, size - attrs.end)];
  },
  onnx: (c, { axis, start, end }) =>
    c.emit('Slice', [only(c.inputs), c.ints([start]), c.ints([end]), c.ints([axis])]),
  reference: ([x], { axis, start }, [out]) => [
    refTensor((out as { shape: Shape }).shape, (_, index) =>
      at(
        x as never,
        index.map((v, i) => (i === axis ? v + start : v)),
      ),
    ),
  ],
});

/** Elements start ≤ i < end along one axis. */
export function slice(x: Value, range: { axis: number; start: number; end: number }): Value {
  const axis = axisOf(range.axis, x.shape.length);
  if (range.start === 0 && range.end === x.shape[axis]) return x;
  return apply(SLICE, [x], { ...range, axis });
}

interface PadAttrs extends Attrs {
  readonly axis: number;
  readonly before: number;
  readonly after: number;
}

const PAD = defineOp<PadAttrs>({
  id: 'pad',
  infer: ([x], { axis, before, after }) => {
    assert(x !== undefined, 'pad needs an input');
    return [{ dtype: x.dtype, shape: x.shape.map((size, i) => (i === axis ? size + before + after : size)) }];
  },
  vjp: ({ inputs, attrs, grads }) => {
    const size = only(inputs).shape[attrs.axis] as number;
    return [grads[0] && slice(grads[0], { axis: attrs.axis, start: attrs.before, end: attrs.before + size })];
  },
  onnx: (c, { axis, before, after }) => {
    const rank = (c.inputTypes[0]?.shape ?? []).length;
    const pads = new Array<number>(2 * rank).fill(0);
    pads[axis] = before;
    pads[rank + axis] = after;
    return c.emit('Pad', [only(c.inputs), c.ints(pads)]);
  },
  reference: ([x], { axis, before }, [out]) => {
    const input = x as { shape: Shape; data: Float64Array };
    const size = input.shape[axis] as number;
    return [
      refTensor((out as { shape: Shape }).shape, (_, index) => {
        const i = (index[axis] as number) - before;
        return i < 0 || i >= size
          ? 0
          : at(
              input,
              index.map((v, k) => (k === axis ? i : v)),
            );
      }),
    ];
  },
});

/** Zeros before and after along one axis. */
export function pad(x: Value, axis: number, before: number, after: number): Value {
  return before === 0 && after === 0
    ? x
    : apply(PAD, [x], { axis: axisOf(axis, x.shape.length), before, after });
}

const CONCAT = defineOp<{ axis: number }>({
  id: 'concat',
  infer: (inputs, { axis }) => {
    const first = inputs[0];
    assert(first !== undefined, 'concat needs inputs');
    const total = inputs.reduce((sum, x) => sum + (x.shape[axis] as number), 0);
    return [{ dtype: first.dtype, shape: first.shape.map((size, i) => (i === axis ? total : size)) }];
  },
  vjp: ({ inputs, attrs, grads, needs }) => {
    let start = 0;
    return inputs.map((x, i) => {
      const end = start + (x.shape[attrs.axis] as number);
      const part = needs[i] && grads[0] ? slice(grads[0], { axis: attrs.axis, start, end }) : undefined;
      start = end;
      return part;
    });
  },
  onnx: (c, { axis }) => c.emit('Concat', c.inputs, { axis: { int: axis } }),
  reference: (inputs, { axis }, [out]) => [
    refTensor((out as { shape: Shape }).shape, (_, index) => {
      let i = index[axis] as number;
      for (const x of inputs) {
        const size = x.shape[axis] as number;
        if (i < size)
          return at(
            x,
            index.map((v, k) => (k === axis ? i : v)),
          );
        i -= size;
      }
      throw new Error('concat index out of range');
    }),
  ],
});

export function concat(xs: readonly Value[], axis: number): Value {
  const [first] = xs;
  assert(first !== undefined, 'concat of nothing');
  return xs.length === 1 ? first : apply(CONCAT, xs, { axis: axisOf(axis, first.shape.length) });
}
