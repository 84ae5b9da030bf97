/** Matrix product over the last two axes, with optional transposition and a factor; other axes broadcast. */

import { assert } from '../../base/errors.ts';
import type { TensorType } from '../../base/tensor.ts';
import { type Attrs, apply, defineOp, type OnnxContext, type Value } from '../ir.ts';
import { broadcastAt, refTensor } from '../ref-array.ts';
import { broadcastShapes, dim } from '../shapes.ts';
import { isLargeCast, recast } from './arithmetic.ts';
import { after, sumTo } from './shape.ts';
import { two } from './types.ts';

interface MatmulAttrs extends Attrs {
  readonly transA: boolean;
  readonly transB: boolean;
  readonly alpha: number;
}

const MATMUL = defineOp<MatmulAttrs>({
  id: 'matmul',
  infer: (inputs, { transA, transB }) => {
    const [a, b] = two(inputs);
    const [m, ka] = transA ? [dim(a.shape, -1), dim(a.shape, -2)] : [dim(a.shape, -2), dim(a.shape, -1)];
    const [kb, n] = transB ? [dim(b.shape, -1), dim(b.shape, -2)] : [dim(b.shape, -2), dim(b.shape, -1)];
    assert(ka === kb, `matmul [${a.shape}]${transA ? 'ᵀ' : ''} · [${b.shape}]${transB ? 'ᵀ' : ''}`);
    return [
      { dtype: a.dtype, shape: [...broadcastShapes(a.shape.slice(0, -2), b.shape.slice(0, -2)), m, n] },
    ];
  },
  // C = α op(A) op(B):  dA = α dC op(B)ᵀ,  dB = α op(A)ᵀ dC, each transposed back when its operand was.
  vjp: ({ inputs, attrs, grads, needs }) => {
    const [a, b] = two(inputs);
    const g = grads[0];
    if (g === undefined) return [];
    const { transA, transB, alpha } = attrs;
    const da = () => {
      const weight = recast(b);
      const arrived = weight === b ? g : after(g);
      return transA
        ? matmul(weight, arrived, { transA: transB, transB: true, alpha })
        : matmul(arrived, weight, { transB: !transB, alpha });
    };
    const db = transB
      ? () => matmul(g, a, { transA: true, transB: transA, alpha })
      : () => matmul(a, g, { transA: !transA, alpha });
    return [needs[0] ? sumTo(da(), a.shape) : undefined, needs[1] ? sumTo(db(), b.shape) : undefined];
  },
  onnx: (c, attrs) => (c.kernels === 'cpu' ? fused(c, attrs) : primitives(c, attrs)),
  reference: (inputs, { transA, transB, alpha }, [out]) => {
    const [a, b] = two(inputs);
    const depth = dim(a.shape, transA ? -2 : -1);
    const rank = (out as TensorType).shape.length;
    return [
      refTensor((out as TensorType).shape, (_, index) => {
        const batch = index.slice(0, -2);
        const [row, column] = index.slice(-2) as [number, number];
        const [inA, inB] = [
          [...batch, row, row],
          [...batch, column, column],
        ];
        let sum = 0;
        for (let k = 0; k < depth; k++) {
          inA[rank - (transA ? 2 : 1)] = k;
          inB[rank - (transB ? 1 : 2)] = k;
          sum += broadcastAt(a, inA) * broadcastAt(b, inB);
        }
        return alpha * sum;
      }),
    ];
  },
});

/** CPU: MLAS multiplies with either operand transposed, so no transposed copy of a weight ever exists. */
function fused(c: OnnxContext, { transA, transB, alpha }: MatmulAttrs): [string, ...string[]] {
  if (!transA && !transB && alpha === 1) return c.emit('MatMul', c.inputs);
  const attributes = { transA: { int: +transA }, transB: { int: +transB }, alpha: { float: alpha } };
  return c.emit('FusedMatMul', c.inputs, attributes, { domain: 'com.microsoft' });
}

/** WebGPU has no FusedMatMul: transpose explicitly and scale the smaller operand's product. */
function primitives(c: OnnxContext, { transA, transB, alpha }: MatmulAttrs): [string, ...string[]] {
  const [a, b] = two(c.inputs);
  const [ta, tb] = two(c.inputTypes);
  const left = transA ? swapLast(c, a, ta) : a;
  const right = transB ? swapLast(c, b, tb) : b;
  const [product] = c.emit('MatMul', [left, right]);
  return alpha === 1 ? [product] : c.emit('Mul', [product, c.scalar(alpha)]);
}

function swapLast(c: OnnxContext, name: string, type: TensorType): string {
  const perm = type.shape.map((_, i) => i);
  const rank = perm.length;
  [perm[rank - 2], perm[rank - 1]] = [rank - 1, rank - 2];
  return c.emit('Transpose', [name], { perm: { ints: perm } })[0];
}

export interface MatmulOptions {
  readonly transA?: boolean;
  readonly transB?: boolean;
  readonly alpha?: number;
}

/** α · op(a) · op(b): [.., m, k] × [.., k, n] → [.., m, n]. */
export function matmul(a: Value, b: Value, options: MatmulOptions = {}): Value {
  const { transA = false, transB = false, alpha = 1 } = options;
  // A large 16-bit weight is widened when its product is due, not before the network starts.
  const left = isLargeCast(b) ? after(a) : a;
  return apply(MATMUL, [left, b], { transA, transB, alpha });
}
