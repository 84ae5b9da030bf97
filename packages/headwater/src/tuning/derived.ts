/**
 * A tuning whose held tensors (what is trained, sent and stored) are others than the inputs of its graph: a base and the
 * steps taken from it, a point in a space of few dimensions, parts of one tensor with different owners. It knows no method.
 */

import type { Rng } from '../base/random.ts';
import type { Params } from '../base/tensor.ts';
import type { BoundTuning, Derivation, TrainableTensor } from './kind.ts';
import { sorted, sortedParams } from './trained-parameters.ts';

export interface Held extends Omit<Derivation, 'inputs'> {
  readonly tensors: readonly TrainableTensor[];
  /** Held tensors of which `forward` makes these inputs; `random` for what is fresh in them. */
  lift(inputs: Params, random: Rng): Params;
}

/** What the adapter file holds stays what `inner` writes. */
export function derivedTuning(inner: BoundTuning, { tensors, forward, backward, lift }: Held): BoundTuning {
  const { contribute: _, merged, lowRank, ...rest } = inner;
  const { extend: innerExtend, adapterTensors } = inner;
  const extend = (params: Params, random: Rng) =>
    sortedParams(lift(innerExtend?.(params, random) ?? params, random));
  return {
    ...rest,
    tensors: sorted(tensors),
    derivation: { inputs: inner.tensors, forward, backward },
    extend,
    init: async (random, baseValue, encode) =>
      sortedParams(lift(await inner.init(random, baseValue, encode), random.split('derived'))),
    adapterTensors(params) {
      const inputs = forward(params);
      return adapterTensors?.call(inner, inputs) ?? inputs;
    },
    ...(merged && { merged: (params) => merged.call(inner, forward(params)) }),
    ...(lowRank && { lowRank: (params) => lowRank.call(inner, forward(params)) }),
  };
}
