/**
 * Sites over the checkpoint as it is: every parameter frozen, read in its stored dtype and cast to float32 once per
 * graph, or rounded to blocks of small integers. What is trained instead, and where adapters enter, is for `tuning/` to
 * wrap around.
 */

import { assert } from '../base/errors.ts';
import type { Graph, Value } from '../graph/ir.ts';
import {
  add,
  type BlockFormat,
  cast,
  dequantize,
  type QuantizedMatrix,
  quantizedMatmul,
  transpose,
} from '../graph/ops/index.ts';
import { parameterSites, type Sites } from '../graph/sites.ts';
import type { LinearModule, Model } from './model.ts';
import { type QuantizedPart, quantizedName, quantizedTypes } from './quantized-format.ts';

/** y = x Wᵀ + b from float32 values; x [N, D], W [E, D], b [E]. */
export function baseSites(graph: Graph, model: Pick<Model, 'storedTypes' | 'quantized'>): Sites {
  const float32 = new Map<string, Value>();
  const modules = model.quantized?.modules ?? new Map<string, LinearModule>();
  const rounded = (module: LinearModule) => quantizedMatrix(graph, module, model.quantized!);
  const made = (name: string, shape: readonly number[]): Value => {
    const module = modules.get(name.replace(/\.weight$/, ''));
    if (module !== undefined && name.endsWith('.weight')) {
      const matrix = dequantize(rounded(module));
      return module.stored === 'in-out' ? transpose(matrix, [1, 0]) : matrix;
    }
    const stored = model.storedTypes.get(name);
    assert(stored !== undefined, `the checkpoint was opened without ${name}`);
    return cast(graph.weight(name, stored.dtype, shape), 'float32');
  };
  function parameter(name: string, shape: readonly number[]): Value {
    const value = float32.get(name) ?? made(name, shape);
    float32.set(name, value);
    return value;
  }
  const stored = parameterSites(parameter);
  return {
    ...stored,
    linear(x, module, shape) {
      const found = modules.get(module);
      if (found === undefined) return stored.linear(x, module, shape);
      const y = quantizedMatmul(x, rounded(found));
      return shape.bias ? add(y, parameter(`${module}.bias`, [shape.outFeatures])) : y;
    },
  };
}

function quantizedMatrix(
  graph: Graph,
  module: LinearModule,
  { bits, blockSize }: BlockFormat,
): QuantizedMatrix {
  const types = quantizedTypes(module, { bits, blockSize });
  const part = (name: QuantizedPart) =>
    graph.weight(quantizedName(module.module, name), types[name].dtype, types[name].shape);
  return { bits, blockSize, packed: part('packed'), scales: part('scales'), zeroPoints: part('zeroPoints') };
}
