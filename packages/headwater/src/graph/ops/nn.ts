/** Network functions that have a fused kernel on CPU and a form in primitives elsewhere. */

import { assert } from '../../base/errors.ts';
import { sizeOf, type TensorType, tensor } from '../../base/tensor.ts';
import { apply, defineOp, type OnnxContext, type Value } from '../ir.ts';
import { at, mapRows, refTensor } from '../ref-array.ts';
import { dim } from '../shapes.ts';
import { add, exp, greater, mul, neg, scale, sigmoid, sub, where } from './arithmetic.ts';
import { reduceSum } from './shape.ts';
import { only, three, two } from './types.ts';

type None = Record<string, never>;

const SILU = defineOp<None>({
  id: 'silu',
  infer: (inputs) => [only(inputs)],
  // d/dx xσ(x) = σ + xσ(1 − σ) = σ + y − yσ with y = xσ
  vjp: ({ inputs, outputs, grads }) => {
    const y = only(outputs);
    const s = sigmoid(only(inputs));
    return [grads[0] && mul(grads[0], add(s, sub(y, mul(y, s))))];
  },
  onnx: (c) => [siluKernel(c, only(c.inputs))],
  reference: (inputs) => {
    const { shape, data } = only(inputs);
    return [{ shape, data: data.map((x) => x / (1 + Math.exp(-x))) }];
  },
});

function siluKernel(c: OnnxContext, x: string): string {
  if (c.kernels === 'cpu')
    return c.emit('QuickGelu', [x], { alpha: { float: 1 } }, { domain: 'com.microsoft' })[0];
  const [s] = c.emit('Sigmoid', [x]);
  return c.emit('Mul', [x, s])[0];
}

/** x · sigmoid(x). */
export const silu = (x: Value): Value => apply(SILU, [x], {});

const RELU = defineOp<None>({
  id: 'relu',
  infer: (inputs) => [only(inputs)],
  vjp: ({ inputs, grads }) => {
    const x = only(inputs);
    const zero = x.graph.scalar(0);
    return [grads[0] && where(greater(x, zero), grads[0], zero)];
  },
  onnx: (c) => c.emit('Relu', c.inputs),
  reference: (inputs) => [{ shape: only(inputs).shape, data: only(inputs).data.map((x) => Math.max(x, 0)) }],
});

/** max(x, 0); its gradient at 0 is 0. */
export const relu = (x: Value): Value => apply(RELU, [x], {});

const SWIGLU = defineOp<None>({
  id: 'swiGlu',
  infer: (inputs) => {
    const [gate, up] = two(inputs);
    assert(gate.shape.join() === up.shape.join(), `swiGlu of [${gate.shape}] and [${up.shape}]`);
    return [gate];
  },
  // With s = σ(gate), a = gate·s and t = s + a − a·s: dUp = (g·gate)·s, dGate = (g·up)·t. s, a and t are computed
  // again here, so only gate and up stay alive between the passes. ONNX Runtime orders nodes depth first, taking the
  // youngest input first: each product's factor that waits for g is made after the one that does not, so that the
  // recomputation runs when the gradient arrives and not during the forward pass.
  vjp: ({ inputs, grads, needs }) => {
    const [gate, up] = two(inputs);
    const g = grads[0];
    if (g === undefined) return [];
    const s = sigmoid(gate);
    const a = mul(gate, s);
    const t = add(s, sub(a, mul(a, s)));
    return [needs[0] ? mul(mul(g, up), t) : undefined, needs[1] ? mul(mul(g, gate), s) : undefined];
  },
  onnx: (c) => {
    const [gate, up] = two(c.inputs);
    return c.emit('Mul', [siluKernel(c, gate), up]);
  },
  reference: (inputs) => {
    const [gate, up] = two(inputs);
    return [
      { shape: gate.shape, data: gate.data.map((x, i) => (x / (1 + Math.exp(-x))) * (up.data[i] as number)) },
    ];
  },
});

/** silu(gate) ⊙ up, the gated activation of Llama-like blocks (Shazeer 2020); both [.., F]. */
export const swiGlu = (gate: Value, up: Value): Value => apply(SWIGLU, [gate, up], {});

const SOFTMAX = defineOp<None>({
  id: 'softmax',
  infer: (inputs) => [only(inputs)],
  // dx = y ⊙ (g − Σ g⊙y)
  vjp: ({ outputs, grads }) => {
    const y = only(outputs);
    const g = grads[0];
    if (g === undefined) return [];
    const weighted = mul(g, y);
    return [sub(weighted, mul(y, reduceSum(weighted, [-1], true)))];
  },
  onnx: (c) => c.emit('Softmax', c.inputs, { axis: { int: -1 } }),
  reference: (inputs) => [mapRows(only(inputs), softmaxRow)],
});

function softmaxRow(row: Float64Array): Float64Array {
  const max = row.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  const e = row.map((x) => Math.exp(x - max));
  const total = e.reduce((a, b) => a + b, 0);
  return e.map((x) => x / total);
}

/** exp(x)/Σ exp(x) over the last axis. */
export const softmax = (x: Value): Value => apply(SOFTMAX, [x], {});

const LOG_SOFTMAX = defineOp<None>({
  id: 'logSoftmax',
  infer: (inputs) => [only(inputs)],
  // dx = g − softmax(x) Σ g
  vjp: ({ outputs, grads }) => {
    const g = grads[0];
    return [g && sub(g, mul(exp(only(outputs)), reduceSum(g, [-1], true)))];
  },
  onnx: (c) =>
    c.kernels === 'cpu' ? c.emit('LogSoftmax', c.inputs, { axis: { int: -1 } }) : logSoftmaxPrimitives(c),
  reference: (inputs) => [
    mapRows(only(inputs), (row) => {
      const max = row.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
      const logSum = max + Math.log(row.reduce((sum, x) => sum + Math.exp(x - max), 0));
      return row.map((x) => x - logSum);
    }),
  ],
});

/** ReduceLogSumExp does not subtract the maximum on WebGPU, so it is written out. */
function logSoftmaxPrimitives(c: OnnxContext): [string, ...string[]] {
  const axis = c.ints([-1]);
  const keep = { keepdims: { int: 1 } };
  const [max] = c.emit('ReduceMax', [only(c.inputs), axis], keep);
  const [shifted] = c.emit('Sub', [only(c.inputs), max]);
  const [e] = c.emit('Exp', [shifted]);
  const [total] = c.emit('ReduceSum', [e, axis], keep);
  const [logTotal] = c.emit('Log', [total]);
  return c.emit('Sub', [shifted, logTotal]);
}

/** x − log Σ exp(x) over the last axis. */
export const logSoftmax = (x: Value): Value => apply(LOG_SOFTMAX, [x], {});

const RMS_NORM = defineOp<{ epsilon: number }>({
  id: 'rmsNorm',
  infer: (inputs) => {
    const [x, weight] = two(inputs);
    assert(dim(x.shape, -1) === dim(weight.shape, 0), `rmsNorm [${x.shape}] by [${weight.shape}]`);
    return [x, { dtype: x.dtype, shape: [...x.shape.slice(0, -1), 1] }];
  },
  // With r = 1/√(mean x² + ε), n = x·r and h = g⊙w: dx = r·(h − n·mean(h⊙n)), dw = Σ g⊙n
  vjp: ({ inputs, outputs, grads, needs }) => {
    const [x, weight] = two(inputs);
    const inverse = two(outputs)[1];
    const g = grads[0];
    if (g === undefined) return [];
    const normalised = mul(x, inverse);
    const h = mul(g, weight);
    const width = dim(x.shape, -1);
    const projection = scale(reduceSum(mul(h, normalised), [-1], true), 1 / width);
    const leading = x.shape.map((_, i) => i).slice(0, -1);
    return [
      needs[0] ? mul(sub(h, mul(normalised, projection)), inverse) : undefined,
      needs[1] ? reduceSum(mul(g, normalised), leading) : undefined,
    ];
  },
  onnx: (c, { epsilon }) => {
    if (c.kernels === 'portable') return rmsNormPrimitives(c, epsilon);
    const attributes = { axis: { int: -1 }, epsilon: { float: epsilon }, stash_type: { int: 1 } };
    const [y, inverse] = c.emit('SimplifiedLayerNormalization', c.inputs, attributes, { outputs: 2 });
    return [y, inverse as string];
  },
  reference: (inputs, { epsilon }, outputs) => {
    const [x, weight] = two(inputs);
    const width = dim(x.shape, -1);
    const inverses = Float64Array.from({ length: x.data.length / width }, (_, row) => {
      const part = x.data.subarray(row * width, (row + 1) * width);
      return 1 / Math.sqrt(part.reduce((sum, v) => sum + v * v, 0) / width + epsilon);
    });
    const y = x.data.map(
      (v, i) => v * (inverses[Math.floor(i / width)] as number) * (weight.data[i % width] as number),
    );
    return [
      { shape: x.shape, data: y },
      { shape: (outputs[1] as TensorType).shape, data: inverses },
    ];
  },
});

/** On WebGPU the fused kernel's second output is not the CPU's, so both outputs come from primitives. */
function rmsNormPrimitives(c: OnnxContext, epsilon: number): string[] {
  const [x, weight] = two(c.inputs);
  const [square] = c.emit('Mul', [x, x]);
  const [mean] = c.emit('ReduceMean', [square, c.ints([-1])], { keepdims: { int: 1 } });
  const [shifted] = c.emit('Add', [mean, c.scalar(epsilon)]);
  const [root] = c.emit('Sqrt', [shifted]);
  const [inverse] = c.emit('Reciprocal', [root]);
  const [normalised] = c.emit('Mul', [x, inverse]);
  const [y] = c.emit('Mul', [normalised, weight]);
  return [y, inverse];
}

/** x / √(mean x² + ε) ⊙ weight over the last axis; x [.., D], weight [D]. Zhang & Sennrich 2019, eq. 4. */
export function rmsNorm(x: Value, weight: Value, epsilon: number): Value {
  return only(x.graph.apply(RMS_NORM, [x, weight], { epsilon }));
}

const ROTARY = defineOp<None>({
  id: 'rotaryEmbedding',
  infer: (inputs) => {
    const [x, cos, sin] = three(inputs);
    const [batch, , length, headDim] = x.shape as [number, number, number, number];
    const wanted = [batch * length, headDim / 2].join();
    assert(
      cos.shape.join() === wanted && sin.shape.join() === wanted,
      `rotary of [${x.shape}] by [${cos.shape}]`,
    );
    return [x];
  },
  // A rotation's adjoint is the rotation back.
  vjp: ({ inputs, grads }) => {
    const [, cos, sin] = three(inputs);
    return [grads[0] && rotaryEmbedding(grads[0], cos, neg(sin))];
  },
  onnx: (c) => (c.kernels === 'cpu' ? rotaryFused(c) : rotaryPrimitives(c)),
  reference: (inputs) => {
    const [x, cos, sin] = three(inputs);
    const half = dim(x.shape, -1) / 2;
    const length = dim(x.shape, 2);
    return [
      refTensor(x.shape, (_, index) => {
        const [b, h, t, d] = index as [number, number, number, number];
        const angle = [b * length + t, d % half];
        const other = at(x, [b, h, t, d < half ? d + half : d - half]);
        return at(x, index) * at(cos, angle) + (d < half ? -other : other) * at(sin, angle);
      }),
    ];
  },
});

/** The kernel reads row `position` of its tables; ours hold one row per token, so the position of token i is i. */
function rotaryFused(c: OnnxContext): [string, ...string[]] {
  const [x, cos, sin] = three(c.inputs);
  const [batch, , length] = (c.inputTypes[0]?.shape ?? []) as [number, number, number, number];
  const rows = BigInt64Array.from({ length: batch * length }, (_, i) => BigInt(i));
  const positions = c.constant(tensor('int64', [batch, length], rows));
  return c.emit('RotaryEmbedding', [x, positions, cos, sin], {}, { domain: 'com.microsoft' });
}

function rotaryPrimitives(c: OnnxContext): [string, ...string[]] {
  const [x, cos, sin] = three(c.inputs);
  const [batch, , length, headDim] = (c.inputTypes[0]?.shape ?? []) as [number, number, number, number];
  const half = headDim / 2;
  const angleShape = c.ints([batch, 1, length, half]);
  const [cosine] = c.emit('Reshape', [cos, angleShape]);
  const [sine] = c.emit('Reshape', [sin, angleShape]);
  const part = (from: number, to: number) =>
    c.emit('Slice', [x, c.ints([from]), c.ints([to]), c.ints([3])])[0];
  const [first, second] = [part(0, half), part(half, headDim)];
  const product = (a: string, b: string) => c.emit('Mul', [a, b])[0];
  const [low] = c.emit('Sub', [product(first, cosine), product(second, sine)]);
  const [high] = c.emit('Add', [product(second, cosine), product(first, sine)]);
  return c.emit('Concat', [low, high], { axis: { int: 3 } });
}

/**
 * Rotary position embedding in Hugging Face's half-split form (Su et al. 2021, eq. 34 with rotated halves):
 * y = x⊙[cos,cos] + rotateHalf(x)⊙[sin,sin]; x [B, H, T, Dh], cos and sin [B·T, Dh/2].
 */
export function rotaryEmbedding(x: Value, cos: Value, sin: Value): Value {
  return apply(ROTARY, [x, cos, sin], {});
}

const ARG_MAX = defineOp<None>({
  id: 'argMax',
  infer: (inputs) => [{ dtype: 'int32', shape: only(inputs).shape.slice(0, -1) }],
  vjp: { nonDifferentiable: 'its result is an index' },
  onnx: (c) => {
    const [index] = c.emit('ArgMax', c.inputs, { axis: { int: -1 }, keepdims: { int: 0 } });
    return c.emit('Cast', [index], { to: { int: 6 } });
  },
  reference: (inputs, _, [out]) => {
    const x = only(inputs);
    const width = dim(x.shape, -1);
    const rows = sizeOf((out as TensorType).shape);
    const best = (row: number) => {
      let winner = 0;
      for (let i = 1; i < width; i++)
        if ((x.data[row * width + i] as number) > (x.data[row * width + winner] as number)) winner = i;
      return winner;
    };
    return [
      { shape: (out as TensorType).shape, data: Float64Array.from({ length: rows }, (_v, row) => best(row)) },
    ];
  },
});

/** Index of the largest element of the last axis (the first of equals), int32. */
export const argMax = (x: Value): Value => apply(ARG_MAX, [x], {});
