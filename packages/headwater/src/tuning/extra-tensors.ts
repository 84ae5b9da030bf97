/**
 * Tensors beside those of a tuning that the network does not read: a server changes them, clients are given them (control
 * variates, the params of other clusters). What is written and merged stays that of the tuning itself.
 */

import type { Rng } from '../base/random.ts';
import { type Params, sizeOf, tensor } from '../base/tensor.ts';
import type { BoundTuning, TrainableTensor } from './kind.ts';
import { sorted, sortedParams } from './trained-parameters.ts';

/** `values`: the extra tensors' first values from the tuning's own, also changed ones of these. Default: zeros. */
export function withExtraTensors(
  bound: BoundTuning,
  extra: readonly TrainableTensor[],
  values: (params: Params, random: Rng) => Params = () => new Map(),
): BoundTuning {
  const names = new Set(extra.map(({ name }) => name));
  const own = (params: Params) => new Map([...params].filter(([name]) => !names.has(name)));
  const { extend: inner = (params: Params) => params, adapterTensors = (params: Params) => params } = bound;
  const { merged, lowRank } = bound;
  const extend = (params: Params, random: Rng) => {
    const before = inner(params, random);
    return sortedParams([...zeros(extra), ...before, ...values(before, random)]);
  };
  return {
    ...bound,
    tensors: sorted([...bound.tensors, ...extra]),
    untrained: new Set([...(bound.untrained ?? []), ...names]),
    extend,
    init: async (random, baseValue, encode) =>
      extend(await bound.init(random, baseValue, encode), random.split('extra')),
    adapterTensors: (params) => adapterTensors.call(bound, own(params)),
    ...(merged === undefined ? {} : { merged: (params: Params) => merged.call(bound, own(params)) }),
    ...(lowRank === undefined ? {} : { lowRank: (params: Params) => lowRank.call(bound, own(params)) }),
  };
}

function zeros(tensors: readonly TrainableTensor[]): Params {
  return new Map(
    tensors.map(({ name, shape }) => [name, tensor('float32', shape, new Float32Array(sizeOf(shape)))]),
  );
}
