/** Activation functions by the names that Hugging Face's configurations use; several names mean the same function. */

import { z } from 'zod';
import type { Value } from '../../graph/ir.ts';
import { gelu, geluTanh, mul, relu, silu, swiGlu } from '../../graph/ops/index.ts';

const FUNCTIONS = {
  silu,
  swish: silu,
  gelu,
  gelu_python: gelu,
  gelu_new: geluTanh,
  gelu_fast: geluTanh,
  gelu_pytorch_tanh: geluTanh,
  relu,
} as const;

export type Activation = keyof typeof FUNCTIONS;

/** What a configuration may name. */
export const activation = z.enum(Object.keys(FUNCTIONS) as [Activation, ...Activation[]]);

export function activate(x: Value, name: Activation): Value {
  return FUNCTIONS[name](x);
}

/** f(gate) ⊙ up (Shazeer 2020, arXiv:2002.05202); both [.., F]. */
export function gated(gate: Value, up: Value, name: Activation): Value {
  return FUNCTIONS[name] === silu ? swiGlu(gate, up) : mul(activate(gate, name), up);
}
