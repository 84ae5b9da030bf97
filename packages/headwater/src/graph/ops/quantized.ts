/**
 * Frozen matrices of small integers: blocks of 4 or 8 bit numbers along the in-features, each block with a scale and a zero
 * point. Products with them, whose gradients are products with the same numbers. How a matrix was rounded is not known here.
 *
 * N rows, D in-features, E out-features, b block size, W[e, d] = (q[e, d] − z[e, ⌊d/b⌋]) · s[e, ⌊d/b⌋].
 */

import { assert } from '../../base/errors.ts';
import { sizeOf, type TensorType } from '../../base/tensor.ts';
import { type Attrs, apply, defineOp, type OnnxContext, type Op, type RefTensor, type Value } from '../ir.ts';
import { at, refTensor } from '../ref-array.ts';
import { dim } from '../shapes.ts';
import { three } from './types.ts';

export type QuantizedBits = 4 | 8;

export interface BlockFormat extends Attrs {
  readonly bits: QuantizedBits;
  /** b, divides D. */
  readonly blockSize: number;
}

export interface QuantizedMatrix extends BlockFormat {
  /** q, uint8 [E, D·bits/8]; of two numbers in a byte the first is in the low half. */
  readonly packed: Value;
  /** s, float32 [E, D/b]. */
  readonly scales: Value;
  /** z in the order of s, packed like q without gaps between rows: uint8 [⌈E·(D/b)·bits/8⌉]. */
  readonly zeroPoints: Value;
}

/** Shapes of the three tensors of a matrix [E, D]. */
export function blockShapes(outFeatures: number, inFeatures: number, { bits, blockSize }: BlockFormat) {
  const blocks = inFeatures / blockSize;
  return {
    packed: [outFeatures, (inFeatures * bits) / 8],
    scales: [outFeatures, blocks],
    zeroPoints: [Math.ceil((outFeatures * blocks * bits) / 8)],
  } as const;
}

/** [E, D] of a matrix whose three tensors fit together. */
function matrixShape(matrix: readonly TensorType[], format: BlockFormat): [number, number] {
  const [packed, scales, zeroPoints] = three(matrix);
  const [E, D] = [dim(packed.shape, 0), (dim(packed.shape, 1) * 8) / format.bits];
  const wanted = blockShapes(E, D, format);
  assert(
    packed.dtype === 'uint8' &&
      scales.dtype === 'float32' &&
      zeroPoints.dtype === 'uint8' &&
      scales.shape.join() === wanted.scales.join() &&
      zeroPoints.shape.join() === wanted.zeroPoints.join(),
    `${format.bits} bit blocks of ${format.blockSize}: [${packed.shape}], [${scales.shape}], [${zeroPoints.shape}]`,
  );
  return [E, D];
}

const DEQUANTIZE = defineOp<BlockFormat>({
  id: 'dequantize',
  infer: (inputs, format) => [{ dtype: 'float32', shape: matrixShape(inputs, format) }],
  vjp: { nonDifferentiable: 'a frozen matrix' },
  onnx: (c, format) => [dequantized(c, c.inputs, matrixShape(c.inputTypes, format), format)],
  reference: (inputs, format, [out]) => [
    dequantizedReference(inputs, (out as TensorType).shape as [number, number], format),
  ],
});

/** W as float32 [E, D]. */
export function dequantize({ packed, scales, zeroPoints, bits, blockSize }: QuantizedMatrix): Value {
  return apply(DEQUANTIZE, [packed, scales, zeroPoints], { bits, blockSize });
}

interface ProductAttrs extends BlockFormat {
  readonly transB: boolean;
}

const QUANTIZED_MATMUL: Op<ProductAttrs> = defineOp<ProductAttrs>({
  id: 'quantizedMatmul',
  infer: ([x, ...matrix], attrs) => {
    const [E, D] = matrixShape(matrix, attrs);
    const [from, to] = attrs.transB ? [D, E] : [E, D];
    assert(x?.shape.length === 2 && x.shape[1] === from, `quantizedMatmul [${x?.shape}] by [${E}, ${D}]`);
    return [{ dtype: 'float32', shape: [dim(x.shape, 0), to] }];
  },
  // y = x Wᵀ: dx = g W, with the numbers of the forward product.
  vjp: ({ inputs, attrs, grads, needs }) => {
    if (grads[0] === undefined || !needs[0]) return [];
    return [apply(QUANTIZED_MATMUL, [grads[0], ...inputs.slice(1)], { ...attrs, transB: !attrs.transB })];
  },
  onnx: (c, attrs) => {
    const shape = matrixShape(c.inputTypes.slice(1), attrs);
    return attrs.transB && hasKernel(c, shape, attrs) ? kernel(c, shape, attrs) : expanded(c, shape, attrs);
  },
  reference: ([x, ...matrix], attrs, [out]) => {
    const [from, to] = [dim((x as RefTensor).shape, 1), dim((out as TensorType).shape, 1)];
    const [E, D] = attrs.transB ? [to, from] : [from, to];
    const w = dequantizedReference(matrix, [E, D], attrs);
    return [
      refTensor((out as TensorType).shape, (_, index) => {
        const [row, column] = index as [number, number];
        let sum = 0;
        for (let k = 0; k < from; k++)
          sum += at(x as RefTensor, [row, k]) * at(w, attrs.transB ? [column, k] : [k, column]);
        return sum;
      }),
    ];
  },
});

/** x Wᵀ with x [N, D] → [N, E], or x W with x [N, E] → [N, D] when `transB` is false. W gets no gradient. */
export function quantizedMatmul(x: Value, matrix: QuantizedMatrix, { transB = true } = {}): Value {
  const { packed, scales, zeroPoints, bits, blockSize } = matrix;
  return apply(QUANTIZED_MATMUL, [x, packed, scales, zeroPoints], { bits, blockSize, transB });
}

/**
 * MatMulNBits on float32 activations, for 4 bits and once its operand is repacked: measured as fast as the float32 product
 * with many rows and faster with one. Not repacked, or with 8 bits, it widens the whole matrix, slower than
 * DequantizeLinear does. Its zero points begin a new byte in each row.
 */
function hasKernel(c: OnnxContext, [, D]: readonly [number, number], format: BlockFormat): boolean {
  return c.kernels === 'cpu' && c.packed && format.bits === 4 && (D / format.blockSize) % 2 === 0;
}

const FLOAT32_ACTIVATIONS = 1;

function kernel(
  c: OnnxContext,
  [E, D]: readonly [number, number],
  { bits, blockSize }: BlockFormat,
): [string, ...string[]] {
  const [x, packed, scales, zeroPoints] = c.inputs as [string, string, string, string];
  const blocks = D / blockSize;
  const inputs = [
    x,
    c.retyped(packed, 'uint8', [E, blocks, (blockSize * bits) / 8]),
    scales,
    c.retyped(zeroPoints, 'uint8', [E, (blocks * bits) / 8]),
  ];
  const attributes = { K: D, N: E, bits, block_size: blockSize, accuracy_level: FLOAT32_ACTIVATIONS };
  const ints = Object.fromEntries(Object.entries(attributes).map(([name, int]) => [name, { int }]));
  return c.emit('MatMulNBits', inputs, ints, { domain: 'com.microsoft' });
}

/**
 * The matrix as float32 for this product only. Its scales wait for an element of x (where(e = e, s, s)): otherwise the engine
 * would merge the expansions of forward and backward pass and keep them, or make all of them before the network starts.
 */
function expanded(
  c: OnnxContext,
  shape: readonly [number, number],
  attrs: ProductAttrs,
): [string, ...string[]] {
  const [x, packed, scales, zeroPoints] = c.inputs as [string, string, string, string];
  const [element] = c.emit('Slice', [x, c.ints([0, 0]), c.ints([1, 1]), c.ints([0, 1])]);
  const [ready] = c.emit('Equal', [element, element]);
  const [waiting] = c.emit('Where', [ready, scales, scales]);
  const matrix = dequantized(c, [packed, waiting, zeroPoints], shape, attrs);
  if (!attrs.transB) return c.emit('MatMul', [x, matrix]);
  if (c.kernels === 'cpu')
    return c.emit('FusedMatMul', [x, matrix], { transB: { int: 1 } }, { domain: 'com.microsoft' });
  return c.emit('MatMul', [x, c.emit('Transpose', [matrix], { perm: { ints: [1, 0] } })[0]]);
}

function dequantized(
  c: OnnxContext,
  matrix: readonly string[],
  [E, D]: readonly [number, number],
  { bits, blockSize }: BlockFormat,
): string {
  const [packed, scales, zeroPoints] = three(matrix);
  const type = bits === 4 ? 'uint4' : 'uint8';
  const inputs = [c.retyped(packed, type, [E, D]), scales, c.retyped(zeroPoints, type, [E, D / blockSize])];
  return c.emit('DequantizeLinear', inputs, { axis: { int: 1 }, block_size: { int: blockSize } })[0];
}

function dequantizedReference(
  matrix: readonly RefTensor[],
  [E, D]: readonly [number, number],
  { bits, blockSize }: BlockFormat,
): RefTensor {
  const [packed, scales, zeroPoints] = three(matrix);
  const number = ({ data }: RefTensor, i: number): number => {
    if (bits === 8) return data[i] as number;
    const byte = data[i >> 1] as number;
    return i % 2 === 0 ? byte % 16 : Math.floor(byte / 16);
  };
  const values = new Float64Array(sizeOf([E, D]));
  for (let i = 0; i < values.length; i++) {
    const block = Math.floor(i / blockSize);
    values[i] = (number(packed, i) - number(zeroPoints, block)) * (scales.data[block] as number);
  }
  return { shape: [E, D], data: values };
}
