/** One or more small graphs for every op of the dialect: the tests run them on each interpreter and provider. */

import { rng } from '../../src/base/random.ts';
import { type DType, sizeOf, type Tensor, tensor } from '../../src/base/tensor.ts';
import { crossEntropy, targetLogProbs } from '../../src/graph/cross-entropy.ts';
import { likeliest, softCrossEntropy } from '../../src/graph/distillation.ts';
import { Graph, type Value } from '../../src/graph/ir.ts';
import * as ops from '../../src/graph/ops/index.ts';

interface InputSpec {
  readonly shape: readonly number[];
  readonly dtype?: DType;
  /** Values in [0, below) for int32 indices. */
  readonly below?: number;
  /** Keep away from zero and negative values (log, sqrt, divisor). */
  readonly positive?: boolean;
}

export interface OpCase {
  readonly name: string;
  readonly inputs: readonly InputSpec[];
  readonly build: (...values: Value[]) => Value | readonly Value[];
}

const f = (...shape: number[]): InputSpec => ({ shape });
const positive = (...shape: number[]): InputSpec => ({ shape, positive: true });
const index = (below: number, ...shape: number[]): InputSpec => ({ shape, dtype: 'int32', below });

export const OP_CASES: readonly OpCase[] = [
  { name: 'add broadcast', inputs: [f(3, 4), f(4)], build: ops.add },
  { name: 'sub broadcast', inputs: [f(2, 3, 4), f(3, 1)], build: ops.sub },
  { name: 'mul broadcast', inputs: [f(3, 1), f(2, 3, 4)], build: ops.mul },
  { name: 'mul of a value with itself', inputs: [f(3, 4)], build: (x) => ops.mul(x, x) },
  { name: 'div broadcast', inputs: [f(3, 4), positive(3, 1)], build: ops.div },
  { name: 'scale', inputs: [f(3, 4)], build: (x) => ops.scale(x, -2.5) },
  { name: 'neg', inputs: [f(5)], build: ops.neg },
  { name: 'exp', inputs: [f(3, 4)], build: ops.exp },
  { name: 'log', inputs: [positive(3, 4)], build: ops.log },
  { name: 'sqrt', inputs: [positive(3, 4)], build: ops.sqrt },
  { name: 'sigmoid', inputs: [f(3, 4)], build: ops.sigmoid },
  { name: 'tanh', inputs: [f(3, 4)], build: ops.tanh },
  { name: 'silu', inputs: [f(3, 4)], build: ops.silu },
  { name: 'erf', inputs: [f(3, 4)], build: ops.erf },
  { name: 'gelu', inputs: [f(3, 4)], build: (x) => ops.gelu(ops.scale(x, 3)) },
  { name: 'geluTanh', inputs: [f(3, 4)], build: (x) => ops.geluTanh(ops.scale(x, 3)) },
  { name: 'relu', inputs: [f(3, 4)], build: ops.relu },
  { name: 'swiGlu', inputs: [f(3, 4), f(3, 4)], build: ops.swiGlu },
  {
    name: 'where',
    inputs: [f(3, 4), f(4), f(3, 1)],
    build: (c, a, b) => ops.where(ops.greater(c, c.graph.scalar(0)), a, b),
  },
  {
    name: 'equal and cast',
    inputs: [index(3, 6), index(3, 6)],
    build: (a, b) => ops.cast(ops.equal(a, b), 'float32'),
  },
  {
    name: 'lessOrEqual and greater',
    inputs: [index(5, 6, 1), index(5, 1, 6)],
    build: (a, b) => ops.cast(ops.and(ops.lessOrEqual(a, b), ops.greater(b, a)), 'float32'),
  },
  { name: 'matmul', inputs: [f(3, 4), f(4, 5)], build: (a, b) => ops.matmul(a, b) },
  {
    name: 'matmul transB alpha',
    inputs: [f(3, 4), f(5, 4)],
    build: (a, b) => ops.matmul(a, b, { transB: true, alpha: 0.5 }),
  },
  { name: 'matmul transA', inputs: [f(4, 3), f(4, 5)], build: (a, b) => ops.matmul(a, b, { transA: true }) },
  {
    name: 'matmul transA transB',
    inputs: [f(4, 3), f(5, 4)],
    build: (a, b) => ops.matmul(a, b, { transA: true, transB: true }),
  },
  {
    name: 'matmul batched transB',
    inputs: [f(2, 3, 4, 5), f(2, 3, 6, 5)],
    build: (a, b) => ops.matmul(a, b, { transB: true, alpha: 2 }),
  },
  {
    name: 'matmul batched transA',
    inputs: [f(2, 3, 4, 5), f(2, 3, 4, 6)],
    build: (a, b) => ops.matmul(a, b, { transA: true }),
  },
  { name: 'reshape', inputs: [f(2, 6)], build: (x) => ops.reshape(x, [3, 4]) },
  { name: 'transpose', inputs: [f(2, 3, 4, 5)], build: (x) => ops.transpose(x, [2, 0, 3, 1]) },
  { name: 'expand', inputs: [f(3, 1)], build: (x) => ops.expand(x, [2, 3, 4]) },
  { name: 'reduceSum keep', inputs: [f(2, 3, 4)], build: (x) => ops.reduceSum(x, [0, 2], true) },
  { name: 'reduceSum drop', inputs: [f(2, 3, 4)], build: (x) => ops.reduceSum(x, [-1]) },
  { name: 'slice', inputs: [f(3, 5)], build: (x) => ops.slice(x, { axis: 1, start: 1, end: 4 }) },
  { name: 'pad', inputs: [f(3, 2)], build: (x) => ops.pad(x, 1, 1, 2) },
  { name: 'concat', inputs: [f(2, 3), f(2, 1), f(2, 2)], build: (...xs) => ops.concat(xs, 1) },
  { name: 'gather rows with repeats', inputs: [f(5, 3), index(5, 7)], build: (x, i) => ops.gather(x, i) },
  {
    name: 'scatterAddRows with repeats',
    inputs: [f(7, 3), index(5, 7)],
    build: (x, i) => ops.scatterAddRows(x, i, 5),
  },
  { name: 'takeLast', inputs: [f(4, 6), index(6, 4)], build: (x, i) => ops.takeLast(x, i) },
  { name: 'softmax', inputs: [f(2, 3, 5)], build: ops.softmax },
  { name: 'logSoftmax', inputs: [f(3, 7)], build: ops.logSoftmax },
  { name: 'logSoftmax of large values', inputs: [f(3, 7)], build: (x) => ops.logSoftmax(ops.scale(x, 60)) },
  { name: 'rmsNorm', inputs: [f(4, 6), f(6)], build: (x, w) => ops.rmsNorm(x, w, 1e-5) },
  { name: 'layerNorm', inputs: [f(4, 6), f(6), f(6)], build: (x, w, b) => ops.layerNorm(x, w, b, 1e-5) },
  {
    name: 'layerNorm of three axes far from zero',
    inputs: [f(2, 3, 5), f(5), f(5)],
    build: (x, w, b) => ops.layerNorm(ops.add(x, x.graph.scalar(20)), w, b, 1e-12),
  },
  {
    name: 'rotaryEmbedding',
    inputs: [f(2, 3, 4, 6), f(8, 3), f(8, 3)],
    build: (x, c, s) => ops.rotaryEmbedding(x, stopped(c), stopped(s)),
  },
  // A gradient through what is detached would not be zero, as the differences of the rounded value are.
  { name: 'detach', inputs: [f(3, 4)], build: (x) => ops.detach(stopped(x)) },
  { name: 'argMax', inputs: [f(4, 6)], build: (x) => ops.cast(ops.argMax(x), 'float32') },
  cachedAttentionCase('of one token a row', [3, 4, 2, 1, 8, 6], {}),
  cachedAttentionCase('of several tokens, capped', [1, 4, 2, 3, 8, 9], { softCap: 0.7 }),
  cachedAttentionCase('in a window', [3, 2, 2, 1, 8, 7], { window: 3 }),
  cachedAttentionCase('of several tokens in a window', [1, 4, 1, 4, 8, 9], { window: 2 }),
  cachedAttentionCase('with odd heads', [2, 4, 2, 1, 6, 5], { window: 2, softCap: 0.7 }),
  cachedAttentionCase('of several tokens in several rows', [2, 2, 1, 2, 4, 5], {}),
  {
    name: 'cross-entropy',
    inputs: [f(5, 4), f(9, 4), index(9, 5), f(5)],
    build: (rows, weight, y, c) => crossEntropy({ rows, weight }, y, stopped(c)),
  },
  {
    name: 'cross-entropy in chunks of one row',
    inputs: [f(3, 4), f(9, 4), index(9, 3), f(3)],
    build: (rows, weight, y, c) => crossEntropy({ rows, weight }, y, stopped(c), 36),
  },
  {
    name: 'cross-entropy with bias and capped logits',
    inputs: [f(5, 4), f(9, 4), f(9), index(9, 5), f(5)],
    build: (rows, weight, bias, y, c) =>
      crossEntropy({ rows, weight, bias, softCap: 1.5 }, y, stopped(c), 108),
  },
  {
    name: 'soft cross-entropy, ids that come twice',
    inputs: [f(5, 4), f(9, 4), index(9, 5, 3), f(5, 3), f(5)],
    build: (rows, weight, ids, q, c) =>
      softCrossEntropy({ rows, weight }, { ids, probabilities: stopped(q) }, stopped(c), 1),
  },
  {
    name: 'soft cross-entropy with temperature, bias and capped logits, in chunks',
    inputs: [f(5, 4), f(9, 4), f(9), index(9, 5, 2), f(5, 2), f(5)],
    build: (rows, weight, bias, ids, q, c) =>
      softCrossEntropy(
        { rows, weight, bias, softCap: 1.5 },
        { ids, probabilities: stopped(q) },
        stopped(c),
        2.5,
        108,
      ),
  },
  { name: 'topK', inputs: [f(4, 6)], build: (x) => ops.cast(ops.topK(x, 3), 'float32') },
  {
    // Whole numbers: it has no gradient.
    name: 'the likeliest tokens',
    inputs: [index(33, 5, 4), index(33, 9, 4), index(9, 5)],
    build: (rows, weight, y) => {
      const [hidden, w] = [rows, weight].map((x) => ops.scale(ops.cast(x, 'float32'), 1 / 16)) as [
        Value,
        Value,
      ];
      const found = likeliest({ rows: hidden, weight: w }, y, { k: 3, temperature: 2 });
      return [ops.cast(found.ids, 'float32'), found.probabilities, found.nll];
    },
  },
  ...([4, 8] as const).flatMap((bits) => [
    {
      name: `dequantize ${bits} bits`,
      inputs: [f(3, 5)],
      build: (x: Value) => ops.matmul(x, ops.dequantize(quantized(x.graph, [5, 24], { bits, blockSize: 8 }))),
    },
    {
      name: `quantizedMatmul ${bits} bits`,
      inputs: [f(3, 32)],
      build: (x: Value) => ops.quantizedMatmul(x, quantized(x.graph, [5, 32], { bits, blockSize: 16 })),
    },
    {
      name: `quantizedMatmul ${bits} bits, an odd number of blocks`,
      inputs: [f(3, 48)],
      build: (x: Value) => ops.quantizedMatmul(x, quantized(x.graph, [5, 48], { bits, blockSize: 16 })),
    },
  ]),
  {
    name: 'target log-probabilities',
    inputs: [f(5, 4), f(9, 4), index(9, 5)],
    build: (rows, weight, y) => targetLogProbs({ rows, weight }, y).nll,
  },
];

/** Random numbers, scales and zero points. */
function quantized(graph: Graph, [E, D]: readonly [number, number], format: ops.BlockFormat) {
  const random = rng('quantized', format.bits, D);
  const shapes = ops.blockShapes(E, D, format);
  const bytes = (shape: readonly number[]) =>
    graph.constant(
      tensor(
        'uint8',
        shape,
        Uint8Array.from({ length: sizeOf(shape) }, () => random.below(256)),
      ),
    );
  const scale = () => (0.5 + random.uniform()) / 2 ** format.bits;
  const scales = Float32Array.from({ length: sizeOf(shapes.scales) }, scale);
  return {
    ...format,
    packed: bytes(shapes.packed),
    scales: graph.constant(tensor('float32', shapes.scales, scales)),
    zeroPoints: bytes(shapes.zeroPoints),
  };
}

/** Fewer rows are filled than fit, another number in each. Its operands are whole numbers / 8: it has no gradient. */
function cachedAttentionCase(
  name: string,
  [B, H, K, T, Dh, C]: readonly [number, number, number, number, number, number],
  attrs: { readonly window?: number; readonly softCap?: number },
): OpCase {
  const eighths = (...shape: number[]) => index(33, ...shape);
  const real = (x: Value) => ops.scale(ops.sub(ops.cast(x, 'float32'), x.graph.scalar(16)), 1 / 8);
  const cache = eighths(B, K, C, Dh);
  const rows = eighths(B, K, T, Dh);
  return {
    name: `cachedAttention ${name}`,
    inputs: [eighths(B, H, T, Dh), rows, rows, cache, cache, index(C + 1, B)],
    build(...inputs) {
      const [q, k, v, pastK, pastV] = inputs.slice(0, 5).map(real) as [Value, Value, Value, Value, Value];
      const numPast = inputs[5] as Value;
      return ops.cachedAttention({ q, k, v, pastK, pastV, numPast }, { scale: 0.6, ...attrs });
    },
  };
}

/** Hides a value from differentiation where the op does not define a gradient for that operand (tables, weights). */
function stopped(x: Value): Value {
  return ops.cast(ops.cast(ops.scale(x, 16), 'int32'), 'float32');
}

export interface BuiltCase {
  readonly graph: Graph;
  readonly feeds: Map<string, Tensor>;
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
}

/** The case's graph with seeded feeds; no outputs are declared yet. */
export function buildCase(test: OpCase): BuiltCase {
  const graph = new Graph();
  const feeds = new Map<string, Tensor>();
  const random = rng('op-case', test.name);
  const inputs = test.inputs.map((spec, i) => {
    const { dtype = 'float32', shape, below = 1, positive: isPositive } = spec;
    const size = sizeOf(shape);
    const real = () => (isPositive ? 0.5 + random.uniform() : random.normal());
    const value =
      dtype === 'int32'
        ? tensor(
            'int32',
            shape,
            Int32Array.from({ length: size }, () => random.below(below)),
          )
        : tensor('float32', shape, Float32Array.from({ length: size }, real));
    feeds.set(`x${i}`, value);
    return graph.input(`x${i}`, dtype, shape);
  });
  const built = test.build(...inputs);
  return { graph, feeds, inputs, outputs: Array.isArray(built) ? built : [built as Value] };
}

/** Σ of all outputs times fixed random weights: a scalar whose gradient sees every element apart from its neighbours. */
export function scalarOf(built: BuiltCase): Value {
  const random = rng('projection');
  const parts = built.outputs.map((value) => {
    const data = Float32Array.from({ length: sizeOf(value.shape) }, () => random.normal());
    const weights = built.graph.constant(tensor('float32', value.shape, data));
    return ops.reduceSum(
      ops.mul(value, weights),
      value.shape.map((_, i) => i),
    );
  });
  return parts.reduce(ops.add);
}

/** ‖a − b‖ / max(‖b‖, 0.1): sums that cancel are held to an absolute error. */
export function relativeError(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let difference = 0;
  let norm = 0;
  for (let i = 0; i < b.length; i++) {
    difference += ((a[i] as number) - (b[i] as number)) ** 2;
    norm += (b[i] as number) ** 2;
  }
  return Math.sqrt(difference) / Math.max(Math.sqrt(norm), 0.1);
}
