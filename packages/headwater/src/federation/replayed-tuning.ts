/**
 * Tunings whose params are a base W₀ and a few scalars, from which everybody makes the model by replaying steps along known
 * directions: W = replay(W₀, scalars). W₀ is held once and never changes; scalars are what travels. Gradients, where somebody
 * wants them, are those of W₀: with the scalars at rest it is the model itself. It knows no method.
 */

import { type Params, sizeOf, type Tensor, tensor, zeros } from '../base/tensor.ts';
import { derivedTuning } from '../tuning/derived.ts';
import type { BoundTuning, TrainableTensor } from '../tuning/kind.ts';
import type { DirectionSeed } from './directions.ts';

export interface Replay {
  /** Zero at first: then the model is W₀. */
  readonly scalars: readonly TrainableTensor[];
  /** Name of the tensor with the key of all directions: two integers below 2¹⁶, which float32 holds exactly. */
  readonly key: string;
  /** W of base and scalars, which are not all zero. The result is remembered while these are the same objects. */
  replay(base: Params, scalars: Params, key: number): Params;
}

export function replayedTuning(inner: BoundTuning, { scalars, key, replay }: Replay): BoundTuning {
  const extra = new Set([key, ...scalars.map(({ name }) => name)]);
  const part = (params: Params, isExtra: boolean) =>
    new Map([...params].filter(([name]) => extra.has(name) === isExtra));
  const known = lastResult();
  return derivedTuning(inner, {
    tensors: [...inner.tensors, ...scalars, { name: key, shape: [2] }],
    forward(params) {
      const base = part(params, false);
      if (scalars.every(({ name }) => isZero(params.get(name)!))) return base;
      return known([...params.values()], () => replay(base, part(params, true), keyOf(params.get(key)!)));
    },
    backward: (grads) => new Map([...grads, ...atRest(scalars), [key, zeros('float32', [2])]]),
    lift(inputs, random) {
      const halves = Float32Array.of(random.below(65536), random.below(65536));
      return new Map([...inputs, ...atRest(scalars), [key, tensor('float32', [2], halves)]]);
    },
  });
}

/** Held tensors for a model that is W₀ itself. */
export function asBase(held: Params, model: Params, scalars: readonly string[]): Params {
  const rest = scalars.map((name) => [name, held.get(name)!] as const);
  const still = rest.map(([name, { shape }]) => [name, zeros('float32', shape)] as const);
  return new Map([...held, ...model, ...still]);
}

/** A direction's seed under a run's key. */
export function seedUnder(key: number, index: number): DirectionSeed {
  return [key, index];
}

export function keyOf({ data }: Tensor<'float32'>): number {
  return data[0]! * 65536 + data[1]!;
}

function isZero({ data }: Tensor<'float32'>): boolean {
  return data.every((value) => value === 0);
}

function atRest(scalars: readonly TrainableTensor[]): [string, Tensor<'float32'>][] {
  return scalars.map(({ name, shape }) => [name, tensor('float32', shape, new Float32Array(sizeOf(shape)))]);
}

/** Passes over the same params are many, and a worker has few params at a time. */
function lastResult(): (identity: readonly object[], make: () => Params) => Params {
  let last: { readonly identity: readonly object[]; readonly result: Params } | undefined;
  return (identity, make) => {
    const same =
      last?.identity.length === identity.length && last.identity.every((item, i) => item === identity[i]);
    if (!same || last === undefined) last = { identity, result: make() };
    return last.result;
  };
}
