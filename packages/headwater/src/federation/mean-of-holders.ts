/** The mean of updates of which not all have every tensor: each tensor over those who sent it. It knows no method. */

import { type Params, type Tensor, tensor } from '../base/tensor.ts';
import type { WeightedUpdate } from './method.ts';
import { sortedParams } from './params.ts';

/** Σ_k w_k u_k / Σ_k w_k over the holders of a tensor, in float64 and in their order; what nobody has is absent. */
export function meanOfHolders(updates: readonly WeightedUpdate[]): Params {
  const names = new Set(updates.flatMap(({ update }) => [...update.keys()]));
  return sortedParams([...names].map((name) => [name, meanOf(updates, name)] as const));
}

function meanOf(updates: readonly WeightedUpdate[], name: string): Tensor<'float32'> {
  const held = updates.flatMap(({ update, aggregationWeight: weight }) => {
    const value = update.get(name);
    return value === undefined ? [] : [{ value, weight }];
  });
  const { shape, data } = held[0]!.value;
  const sum = new Float64Array(data.length);
  for (const { value, weight } of held)
    for (let i = 0; i < sum.length; i++) sum[i] = sum[i]! + weight * value.data[i]!;
  const total = held.reduce((all, { weight }) => all + weight, 0);
  return tensor(
    'float32',
    shape,
    Float32Array.from(sum, (x) => x / total),
  );
}
