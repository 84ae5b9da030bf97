/** Layer normalisation (Ba et al. 2016, arXiv:1607.06450) as one op, so that its backward pass is written once. */

import { assert } from '../../base/errors.ts';
import type { TensorType } from '../../base/tensor.ts';
import { apply, defineOp, type OnnxContext, type Value } from '../ir.ts';
import { dim } from '../shapes.ts';
import { mul, scale, sub } from './arithmetic.ts';
import { reduceSum } from './shape.ts';
import { only, three } from './types.ts';

const LAYER_NORM = defineOp<{ epsilon: number }>({
  id: 'layerNorm',
  infer: (inputs) => {
    const [x, weight, bias] = three(inputs);
    const width = [dim(x.shape, -1)].join();
    assert(
      weight.shape.join() === width && bias.shape.join() === width,
      `layerNorm [${x.shape}] by [${weight.shape}] and [${bias.shape}]`,
    );
    const perRow = { dtype: x.dtype, shape: [...x.shape.slice(0, -1), 1] };
    return [x, perRow, perRow];
  },
  // With n = (x − mean)·r and h = g⊙w: dx = r·(h − mean(h) − n·mean(h⊙n)), dw = Σ g⊙n, db = Σ g
  vjp: ({ inputs, outputs, grads, needs }) => {
    const [x, weight] = three(inputs);
    const [, mean, inverse] = three(outputs);
    const g = grads[0];
    if (g === undefined) return [];
    const normalised = mul(sub(x, mean), inverse);
    const leading = x.shape.map((_, i) => i).slice(0, -1);
    return [
      needs[0] ? mul(centred(mul(g, weight), normalised), inverse) : undefined,
      needs[1] ? reduceSum(mul(g, normalised), leading) : undefined,
      needs[2] ? reduceSum(g, leading) : undefined,
    ];
  },
  onnx: (c, { epsilon }) => {
    if (c.kernels === 'portable') return layerNormPrimitives(c, epsilon);
    const attributes = { axis: { int: -1 }, epsilon: { float: epsilon }, stash_type: { int: 1 } };
    return c.emit('LayerNormalization', c.inputs, attributes, { outputs: 3 });
  },
  reference: (inputs, { epsilon }, outputs) => {
    const [x, weight, bias] = three(inputs);
    const width = dim(x.shape, -1);
    const rows = x.data.length / width;
    const row = (i: number) => x.data.subarray(i * width, (i + 1) * width);
    const meanOf = (values: Float64Array) => values.reduce((sum, v) => sum + v, 0) / width;
    const means = Float64Array.from({ length: rows }, (_, i) => meanOf(row(i)));
    const inverses = means.map(
      (mean, i) => 1 / Math.sqrt(meanOf(row(i).map((v) => (v - mean) ** 2)) + epsilon),
    );
    const y = x.data.map((v, i) => {
      const r = Math.floor(i / width);
      return (v - means[r]!) * inverses[r]! * weight.data[i % width]! + bias.data[i % width]!;
    });
    const { shape } = outputs[1] as TensorType;
    return [
      { shape: x.shape, data: y },
      { shape, data: means },
      { shape, data: inverses },
    ];
  },
});

/** h − mean(h) − n·mean(h⊙n) over the last axis. */
function centred(h: Value, normalised: Value): Value {
  const mean = (value: Value) => scale(reduceSum(value, [-1], true), 1 / dim(value.shape, -1));
  return sub(sub(h, mean(h)), mul(normalised, mean(mul(h, normalised))));
}

/** Written out, because fused kernels differ between providers in what their further outputs mean. */
function layerNormPrimitives(c: OnnxContext, epsilon: number): readonly string[] {
  const [x, weight, bias] = three(c.inputs);
  const axis = c.ints([-1]);
  const mean = (value: string) => c.emit('ReduceMean', [value, axis], { keepdims: { int: 1 } })[0];
  const middle = mean(x);
  const [centre] = c.emit('Sub', [x, middle]);
  const variance = mean(only(c.emit('Mul', [centre, centre])));
  const [shifted] = c.emit('Add', [variance, c.scalar(epsilon)]);
  const [deviation] = c.emit('Sqrt', [shifted]);
  const [inverse] = c.emit('Div', [c.scalar(1), deviation]);
  const [normalised] = c.emit('Mul', [centre, inverse]);
  const [scaled] = c.emit('Mul', [normalised, weight]);
  const [y] = c.emit('Add', [scaled, bias]);
  return [y, middle, inverse];
}

/** (x − mean(x)) / √(var(x) + ε) ⊙ weight + bias over the last axis; var without Bessel's correction; x [.., D], others [D]. */
export function layerNorm(x: Value, weight: Value, bias: Value, epsilon: number): Value {
  return apply(LAYER_NORM, [x, weight, bias], { epsilon });
}
