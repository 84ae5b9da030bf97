/** Elementwise arithmetic with broadcasting, its derivatives, and comparison and selection. */

import { assert } from '../../base/errors.ts';
import { type DType, sizeOf, type TensorType } from '../../base/tensor.ts';
import { type Attrs, apply, defineOp, type Op, type Value, type VjpArgs } from '../ir.ts';
import { broadcastAt, refTensor } from '../ref-array.ts';
import { broadcastShapes } from '../shapes.ts';
import { sumTo } from './shape.ts';
import { only, three, two } from './types.ts';

type None = Record<string, never>;

function inferBinary(id: string, inputs: readonly TensorType[], dtype?: DType): TensorType[] {
  const [a, b] = two(inputs);
  assert(a.dtype === b.dtype, `${id} of ${a.dtype} and ${b.dtype}`);
  return [{ dtype: dtype ?? a.dtype, shape: broadcastShapes(a.shape, b.shape) }];
}

interface BinarySpec {
  readonly id: string;
  readonly onnx: string;
  readonly compute: (a: number, b: number) => number;
  /** d/da and d/db times the gradient g, before summing down to the operand's shape. */
  readonly da: (g: Value, a: Value, b: Value, y: Value) => Value;
  readonly db: (g: Value, a: Value, b: Value, y: Value) => Value;
}

function binary(spec: BinarySpec): Op<None> {
  return defineOp<None>({
    id: spec.id,
    infer: (inputs) => inferBinary(spec.id, inputs),
    vjp: ({ inputs, outputs, grads, needs }: VjpArgs<Attrs>) => {
      const [a, b] = two(inputs);
      const [g, y] = [grads[0], only(outputs)];
      if (g === undefined) return [];
      return [
        needs[0] ? sumTo(spec.da(g, a, b, y), a.shape) : undefined,
        needs[1] ? sumTo(spec.db(g, a, b, y), b.shape) : undefined,
      ];
    },
    onnx: (c) => c.emit(spec.onnx, c.inputs),
    reference: (inputs, _, [out]) => {
      const [a, b] = two(inputs);
      return [
        refTensor((out as TensorType).shape, (_f, i) => spec.compute(broadcastAt(a, i), broadcastAt(b, i))),
      ];
    },
  });
}

const ADD = binary({ id: 'add', onnx: 'Add', compute: (a, b) => a + b, da: (g) => g, db: (g) => g });
const SUB = binary({ id: 'sub', onnx: 'Sub', compute: (a, b) => a - b, da: (g) => g, db: (g) => neg(g) });
const MUL = binary({
  id: 'mul',
  onnx: 'Mul',
  compute: (a, b) => a * b,
  da: (g, _a, b) => mul(g, b),
  db: (g, a) => mul(g, a),
});
const DIV = binary({
  id: 'div',
  onnx: 'Div',
  compute: (a, b) => a / b,
  da: (g, _a, b) => div(g, b),
  // d(a/b)/db = −a/b² = −y/b
  db: (g, _a, b, y) => neg(div(mul(g, y), b)),
});

export const add = (a: Value, b: Value): Value => apply(ADD, [a, b], {});
export const sub = (a: Value, b: Value): Value => apply(SUB, [a, b], {});
export const div = (a: Value, b: Value): Value => apply(DIV, [a, b], {});

/** a·b; a factor that is the constant 1 is dropped (the seed of the backward pass is one). */
export function mul(a: Value, b: Value): Value {
  if (isOne(a) && b.shape.length >= a.shape.length) return b;
  if (isOne(b) && a.shape.length >= b.shape.length) return a;
  return apply(MUL, [a, b], {});
}

export function scale(x: Value, factor: number): Value {
  return factor === 1 ? x : mul(x, x.graph.scalar(factor));
}

function isOne(value: Value): boolean {
  const constant = value.graph.constants.get(value);
  return constant !== undefined && constant.shape.length === 0 && Number(constant.data[0]) === 1;
}

interface UnarySpec {
  readonly id: string;
  readonly onnx: string;
  readonly compute: (x: number) => number;
  /** Gradient from g, input x, output y. */
  readonly dx: (g: Value, x: Value, y: Value) => Value;
}

function unary(spec: UnarySpec): Op<None> {
  return defineOp<None>({
    id: spec.id,
    infer: (inputs) => [only(inputs)],
    vjp: ({ inputs, outputs, grads }) => [grads[0] && spec.dx(grads[0], only(inputs), only(outputs))],
    onnx: (c) => c.emit(spec.onnx, c.inputs),
    reference: (inputs) => [{ shape: only(inputs).shape, data: only(inputs).data.map(spec.compute) }],
  });
}

const NEG = unary({ id: 'neg', onnx: 'Neg', compute: (x) => -x, dx: (g) => neg(g) });
const EXP = unary({ id: 'exp', onnx: 'Exp', compute: Math.exp, dx: (g, _x, y) => mul(g, y) });
const LOG = unary({ id: 'log', onnx: 'Log', compute: Math.log, dx: (g, x) => div(g, x) });
const SQRT = unary({ id: 'sqrt', onnx: 'Sqrt', compute: Math.sqrt, dx: (g, _x, y) => div(scale(g, 0.5), y) });
const SIGMOID = unary({
  id: 'sigmoid',
  onnx: 'Sigmoid',
  compute: sigmoidOf,
  // σ' = σ(1 − σ) = σ − σ²
  dx: (g, _x, y) => mul(g, sub(y, mul(y, y))),
});
const TANH = unary({
  id: 'tanh',
  onnx: 'Tanh',
  compute: Math.tanh,
  dx: (g, _x, y) => sub(g, mul(g, mul(y, y))),
});

function sigmoidOf(x: number): number {
  return 1 / (1 + Math.exp(-x));
}

export const neg = (x: Value): Value => apply(NEG, [x], {});
export const exp = (x: Value): Value => apply(EXP, [x], {});
export const log = (x: Value): Value => apply(LOG, [x], {});
export const sqrt = (x: Value): Value => apply(SQRT, [x], {});
export const sigmoid = (x: Value): Value => apply(SIGMOID, [x], {});
export const tanh = (x: Value): Value => apply(TANH, [x], {});

interface CompareSpec {
  readonly id: string;
  readonly onnx: string;
  readonly compute: (a: number, b: number) => boolean;
}

function comparison(spec: CompareSpec): Op<None> {
  return defineOp<None>({
    id: spec.id,
    infer: (inputs) => inferBinary(spec.id, inputs, 'bool'),
    vjp: { nonDifferentiable: 'its result is a truth value' },
    onnx: (c) => c.emit(spec.onnx, c.inputs),
    reference: (inputs, _, [out]) => {
      const [a, b] = two(inputs);
      const test = (i: readonly number[]) => spec.compute(broadcastAt(a, i), broadcastAt(b, i));
      return [refTensor((out as TensorType).shape, (_f, i) => (test(i) ? 1 : 0))];
    },
  });
}

const EQUAL = comparison({ id: 'equal', onnx: 'Equal', compute: (a, b) => a === b });
const GREATER = comparison({ id: 'greater', onnx: 'Greater', compute: (a, b) => a > b });
const LESS_OR_EQUAL = comparison({ id: 'lessOrEqual', onnx: 'LessOrEqual', compute: (a, b) => a <= b });
const AND = comparison({ id: 'and', onnx: 'And', compute: (a, b) => a !== 0 && b !== 0 });

export const equal = (a: Value, b: Value): Value => apply(EQUAL, [a, b], {});
export const greater = (a: Value, b: Value): Value => apply(GREATER, [a, b], {});
export const lessOrEqual = (a: Value, b: Value): Value => apply(LESS_OR_EQUAL, [a, b], {});
export const and = (a: Value, b: Value): Value => apply(AND, [a, b], {});

const WHERE = defineOp<None>({
  id: 'where',
  infer: (inputs) => {
    const [condition, a, b] = three(inputs);
    assert(
      condition.dtype === 'bool' && a.dtype === b.dtype,
      `where ${condition.dtype} ? ${a.dtype} : ${b.dtype}`,
    );
    return [{ dtype: a.dtype, shape: broadcastShapes(condition.shape, broadcastShapes(a.shape, b.shape)) }];
  },
  vjp: ({ inputs, grads, needs }) => {
    const [condition, a, b] = three(inputs);
    const g = grads[0];
    if (g === undefined) return [];
    const zero = g.graph.scalar(0);
    return [
      undefined,
      needs[1] ? sumTo(where(condition, g, zero), a.shape) : undefined,
      needs[2] ? sumTo(where(condition, zero, g), b.shape) : undefined,
    ];
  },
  onnx: (c) => c.emit('Where', c.inputs),
  reference: (inputs, _, [out]) => {
    const [condition, a, b] = three(inputs);
    return [
      refTensor((out as TensorType).shape, (_f, i) =>
        broadcastAt(condition, i) !== 0 ? broadcastAt(a, i) : broadcastAt(b, i),
      ),
    ];
  },
});

/** condition ? a : b, elementwise with broadcasting. */
export const where = (condition: Value, a: Value, b: Value): Value => apply(WHERE, [condition, a, b], {});

interface CastAttrs extends Attrs {
  readonly dtype: DType;
  /** How often the same values were cast before. */
  readonly again: number;
}

const CAST = defineOp<CastAttrs>({
  id: 'cast',
  infer: (inputs, { dtype }) => [{ dtype, shape: only(inputs).shape }],
  vjp: ({ inputs, grads }) => [grads[0] && cast(grads[0], only(inputs).dtype)],
  onnx: (c, { dtype, again }) => {
    const to = { to: { int: ONNX_TYPE[dtype] } };
    if (again === 0) return c.emit('Cast', c.inputs, to);
    // Extra axes keep the engine's optimizer from merging the casts.
    const { shape } = only(c.inputTypes);
    const [other] = c.emit('Reshape', [only(c.inputs), c.ints([...new Array(again).fill(1), ...shape])]);
    const [cast] = c.emit('Cast', [other], to);
    return c.emit('Reshape', [cast, c.ints(shape)]);
  },
  reference: ([x], { dtype }) => {
    const whole = dtype !== 'float32' && dtype !== 'float16' && dtype !== 'bfloat16';
    const { shape, data } = x as { shape: readonly number[]; data: Float64Array };
    return [
      {
        shape,
        data: whole ? data.map(dtype === 'bool' ? (v) => (v !== 0 ? 1 : 0) : Math.trunc) : data.slice(),
      },
    ];
  },
});

/** TensorProto.DataType numbers of onnx.proto. */
export const ONNX_TYPE: Record<DType, number> = {
  float32: 1,
  uint8: 2,
  int8: 3,
  int32: 6,
  int64: 7,
  bool: 9,
  float16: 10,
  bfloat16: 16,
};

export function cast(x: Value, dtype: DType): Value {
  return x.dtype === dtype ? x : apply(CAST, [x], { dtype, again: 0 });
}

/** The same cast once more: a large 16-bit weight is widened for each use instead of living on as float32 between them. */
export function recast(x: Value): Value {
  if (!isLargeCast(x)) return x;
  const { again } = x.node.attrs as CastAttrs;
  return apply(CAST, [uncast(x)], { dtype: x.dtype, again: again + 1 });
}

/** Elements from which on a second cast is cheaper than a float32 copy that lives through both passes. */
const LARGE = 2 ** 18;

/** A cast worth doing late and twice. */
export function isLargeCast(x: Value): boolean {
  return x.node.op === CAST && sizeOf(x.shape) >= LARGE;
}

/** The value under a cast, if `x` is one: lets gather read a table in its stored dtype and cast only the rows taken. */
export function uncast(x: Value): Value {
  return x.node.op === CAST ? only(x.node.inputs) : x;
}
