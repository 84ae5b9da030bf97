/** The Gaussian error linear unit (Hendrycks & Gimpel 2016, arXiv:1606.08415), exact and as its tanh approximation. */

import { apply, defineOp, type OnnxContext, type Value } from '../ir.ts';
import { add, exp, mul, scale, sub, tanh } from './arithmetic.ts';
import { only } from './types.ts';

type None = Record<string, never>;

const ERF = defineOp<None>({
  id: 'erf',
  infer: (inputs) => [only(inputs)],
  // d erf(x)/dx = 2/√π · e^(−x²)
  vjp: ({ inputs, grads }) => {
    const x = only(inputs);
    return [grads[0] && mul(grads[0], scale(exp(scale(mul(x, x), -1)), 2 / Math.sqrt(Math.PI)))];
  },
  onnx: (c) => c.emit('Erf', c.inputs),
  reference: (inputs) => [{ shape: only(inputs).shape, data: only(inputs).data.map(erfOf) }],
});

/** The error function 2/√π ∫₀ˣ e^(−t²) dt. */
export const erf = (x: Value): Value => apply(ERF, [x], {});

/** float64: the power series near zero, the continued fraction of the complement further out. */
function erfOf(x: number): number {
  const a = Math.abs(x);
  if (a > 6) return Math.sign(x);
  if (a < 2.5) {
    let term = x;
    let sum = x;
    for (let n = 1; n < 60; n++) {
      term *= (-x * x) / n;
      sum += term / (2 * n + 1);
    }
    return (2 / Math.sqrt(Math.PI)) * sum;
  }
  let fraction = 0;
  for (let n = 60; n > 0; n--) fraction = n / 2 / (a + fraction);
  return Math.sign(x) * (1 - Math.exp(-a * a) / (Math.sqrt(Math.PI) * (a + fraction)));
}

const GELU = defineOp<None>({
  id: 'gelu',
  infer: (inputs) => [only(inputs)],
  // With Φ the normal distribution: d/dx xΦ(x) = Φ(x) + x e^(−x²/2)/√(2π). Only x stays alive between the passes.
  vjp: ({ inputs, grads }) => {
    const x = only(inputs);
    if (grads[0] === undefined) return [];
    const { graph } = x;
    const distribution = scale(add(erf(scale(x, Math.SQRT1_2)), graph.scalar(1)), 0.5);
    const density = scale(exp(scale(mul(x, x), -0.5)), 1 / Math.sqrt(2 * Math.PI));
    return [mul(grads[0], add(distribution, mul(x, density)))];
  },
  onnx: (c) => (c.kernels === 'cpu' ? c.emit('Gelu', c.inputs, {}, MICROSOFT) : geluPrimitives(c)),
  reference: (inputs) => {
    const { shape, data } = only(inputs);
    return [{ shape, data: data.map((x) => 0.5 * x * (1 + erfOf(x * Math.SQRT1_2))) }];
  },
});

const MICROSOFT = { domain: 'com.microsoft' } as const;

function geluPrimitives(c: OnnxContext): [string, ...string[]] {
  const x = only(c.inputs);
  const [scaled] = c.emit('Mul', [x, c.scalar(Math.SQRT1_2)]);
  const [error] = c.emit('Erf', [scaled]);
  const [above] = c.emit('Add', [error, c.scalar(1)]);
  const [half] = c.emit('Mul', [x, c.scalar(0.5)]);
  return c.emit('Mul', [half, above]);
}

/** x Φ(x) = x/2 · (1 + erf(x/√2)); `gelu` in Hugging Face's configurations. */
export const gelu = (x: Value): Value => apply(GELU, [x], {});

const CUBIC = 0.044715;
const SLOPE = Math.sqrt(2 / Math.PI);

const GELU_TANH = defineOp<None>({
  id: 'geluTanh',
  infer: (inputs) => [only(inputs)],
  // With t = tanh(s(x + cx³)): dy = (1 + t)/2 + x/2 · (1 − t²) · s(1 + 3cx²). Only x stays alive between the passes.
  vjp: ({ inputs, grads }) => {
    const x = only(inputs);
    if (grads[0] === undefined) return [];
    const one = x.graph.scalar(1);
    const squared = mul(x, x);
    const t = tanh(scale(mul(x, add(scale(squared, CUBIC), one)), SLOPE));
    const inner = scale(add(scale(squared, 3 * CUBIC), one), SLOPE);
    const bent = mul(mul(x, inner), sub(one, mul(t, t)));
    return [mul(grads[0], scale(add(add(t, one), bent), 0.5))];
  },
  onnx: (c) => geluTanhPrimitives(c),
  reference: (inputs) => {
    const { shape, data } = only(inputs);
    const value = (x: number) => 0.5 * x * (1 + Math.tanh(SLOPE * (x + CUBIC * x ** 3)));
    return [{ shape, data: data.map(value) }];
  },
});

function geluTanhPrimitives(c: OnnxContext): [string, ...string[]] {
  const x = only(c.inputs);
  const [squared] = c.emit('Mul', [x, x]);
  const [cubic] = c.emit('Mul', [squared, c.scalar(SLOPE * CUBIC)]);
  const [slope] = c.emit('Add', [cubic, c.scalar(SLOPE)]);
  const [inner] = c.emit('Mul', [x, slope]);
  const [t] = c.emit('Tanh', [inner]);
  const [above] = c.emit('Add', [t, c.scalar(1)]);
  const [half] = c.emit('Mul', [x, c.scalar(0.5)]);
  return c.emit('Mul', [half, above]);
}

/** x/2 · (1 + tanh(√(2/π) (x + 0.044715 x³))); `gelu_new`, `gelu_fast` and `gelu_pytorch_tanh` in configurations. */
export const geluTanh = (x: Value): Value => apply(GELU_TANH, [x], {});
