/** Values whose backward pass is written by hand: the forward knows the gradient better than the chain rule, or stops it. */

import { assert } from '../../base/errors.ts';
import { type Attrs, apply, defineOp, type Value } from '../ir.ts';
import { mul } from './arithmetic.ts';
import { only } from './types.ts';

interface WithGradientsAttrs extends Attrs {
  /** d(loss)/d(input i) from the loss's gradient by the value; built only if it is needed. */
  readonly gradientOf: (input: number, gradient: Value) => Value;
}

const WITH_GRADIENTS = defineOp<WithGradientsAttrs>({
  id: 'withGradients',
  infer: (inputs) => [only(inputs)],
  vjp: ({ inputs, attrs, grads, needs }) => {
    const g = grads[0];
    if (g === undefined) return [];
    return inputs.map((_, i) => (i > 0 && needs[i] ? attrs.gradientOf(i - 1, g) : undefined));
  },
  onnx: (c) => [only(c.inputs)],
  reference: (inputs) => [only(inputs)],
});

/** `scalar`, whose gradient with respect to `inputs[i]` is `gradientOf(i)`. */
export function withGradients(
  scalar: Value,
  inputs: readonly Value[],
  gradientOf: (input: number) => Value,
): Value {
  assert(scalar.shape.length === 0, 'withGradients takes a scalar');
  return withPullback(scalar, inputs, (input, gradient) => mul(gradientOf(input), gradient));
}

/** `value`, whose backward pass to `inputs[i]` is `pullback(i, d(loss)/d(value))`. */
export function withPullback(
  value: Value,
  inputs: readonly Value[],
  pullback: (input: number, gradient: Value) => Value,
): Value {
  return apply(WITH_GRADIENTS, [value, ...inputs], { gradientOf: pullback });
}

const DETACH = defineOp<Readonly<Record<string, never>>>({
  id: 'detach',
  infer: (inputs) => [only(inputs)],
  vjp: { nonDifferentiable: 'a constant of the backward pass' },
  onnx: (c) => [only(c.inputs)],
  reference: (inputs) => [only(inputs)],
});

/** `x`, through which no gradient flows. */
export const detach = (x: Value): Value => apply(DETACH, [x], {});
