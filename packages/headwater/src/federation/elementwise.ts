/** Server rules that treat every element alike: what one element does is a function, tensors and their bookkeeping are here. */

import { type Params, type Tensor, tensor } from '../base/tensor.ts';

/** The parts of a server's memory live in one set of params, each tensor under its part's name. */
export const statePart = (part: string, name: string): string => `${part}:${name}`;

/** One element of a tensor, its part of the aggregate, and what the server remembers of it: one number a part. */
interface Element {
  readonly param: number;
  readonly delta: number;
  readonly state: Float64Array;
}

export interface ElementwiseStep {
  /** Names of what the server remembers of each element. */
  readonly parts: readonly string[];
  /** What it remembers before the first round, for all elements alike. */
  readonly initial: readonly number[];
  /** Gives the new value of the element and changes `state` in place. All in float64. */
  step(element: Element): number;
}

/** Applies a rule to the tensors of `aggregate`; the others stay as they are. */
export function elementwiseStep(
  { parts, initial, step }: ElementwiseStep,
  params: Params,
  aggregate: Params,
  before: Params | undefined,
): { readonly params: Params; readonly state: Params } {
  const changed = new Map<string, Tensor<'float32'>>();
  const memory = new Map<string, Tensor<'float32'>>(before ?? []);
  const state = new Float64Array(parts.length);
  for (const [name, { shape, data: delta }] of aggregate) {
    const param = params.get(name)!.data;
    const next = new Float32Array(param.length);
    const known = parts.map((part) => before?.get(statePart(part, name))?.data);
    const kept = parts.map(() => new Float32Array(param.length));
    for (let i = 0; i < next.length; i++) {
      for (let p = 0; p < state.length; p++) state[p] = known[p]?.[i] ?? initial[p]!;
      next[i] = step({ param: param[i]!, delta: delta[i]!, state });
      for (let p = 0; p < state.length; p++) kept[p]![i] = state[p]!;
    }
    changed.set(name, tensor('float32', shape, next));
    for (const [p, part] of parts.entries())
      memory.set(statePart(part, name), tensor('float32', shape, kept[p]!));
  }
  const sorted = [...memory].sort(([a], [b]) => (a < b ? -1 : 1));
  return {
    params: new Map([...params].map(([name, value]) => [name, changed.get(name) ?? value])),
    state: new Map(sorted),
  };
}
