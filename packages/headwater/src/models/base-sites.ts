/**
 * Sites over the checkpoint as it is: every parameter frozen, read in its stored dtype and cast to float32 once per
 * graph. What is trained instead, and where adapters enter, is for `tuning/` to wrap around.
 */

import { assert } from '../base/errors.ts';
import type { Graph, Value } from '../graph/ir.ts';
import { cast } from '../graph/ops/index.ts';
import { parameterSites, type Sites } from '../graph/sites.ts';
import type { Model } from './model.ts';

/** y = x Wᵀ + b from float32 values; x [N, D], W [E, D], b [E]. */
export function baseSites(graph: Graph, model: Pick<Model, 'storedTypes'>): Sites {
  const float32 = new Map<string, Value>();
  function parameter(name: string, shape: readonly number[]): Value {
    const known = float32.get(name);
    if (known !== undefined) return known;
    const stored = model.storedTypes.get(name);
    assert(stored !== undefined, `the checkpoint was opened without ${name}`);
    const value = cast(graph.weight(name, stored.dtype, shape), 'float32');
    float32.set(name, value);
    return value;
  }
  return parameterSites(parameter);
}
