/** What goes into a session and comes out of it, whatever engine runs it: every input there, with the type and shape that its graph declares. */

import { type DType, type Tensor, type TensorType, tensor } from '../base/tensor.ts';
import { ANY } from '../graph/ir.ts';

type Types = ReadonlyMap<string, TensorType>;

/** The engine's own tensors, made by `make`. Throws when one is missing or has another type or shape. */
export function engineInputs<T>(
  types: Types,
  inputs: ReadonlyMap<string, Tensor>,
  make: (value: Tensor) => T,
): Record<string, T> {
  const feeds: Record<string, T> = {};
  for (const [name, type] of types) {
    const value = inputs.get(name);
    if (value === undefined) throw new Error(`input ${name} is missing`);
    if (value.dtype !== type.dtype || !fits(value.shape, type.shape))
      throw new Error(
        `input ${name} is ${value.dtype}[${value.shape}], expected ${type.dtype}[${type.shape}]`,
      );
    feeds[name] = make(value);
  }
  return feeds;
}

function fits(shape: readonly number[], expected: readonly number[]): boolean {
  return shape.length === expected.length && expected.every((size, i) => size === ANY || size === shape[i]);
}

/** Ours again. Nothing is copied. */
export function engineOutputs(
  types: Types,
  results: Readonly<Record<string, { readonly data: unknown }>>,
): Map<string, Tensor> {
  const outputs = new Map<string, Tensor>();
  for (const [name, type] of types)
    outputs.set(name, tensor(type.dtype as DType, type.shape, results[name]!.data as Float32Array));
  return outputs;
}
