/**
 * An optimizer as a record: state beside parameters, one update rule. Updates happen in place on arrays that the
 * caller owns; nothing here knows models, graphs or schedules.
 */

import type { Params } from '../../base/tensor.ts';
import type { OptimizerOptions } from '../engine.ts';

export interface OptimizerState {
  /** Updates applied so far. */
  step: number;
  /** Slot name → parameter name → values (`m` and `v` of AdamW, `momentum` of SGD). */
  readonly slots: ReadonlyMap<string, ReadonlyMap<string, Float32Array>>;
}

export interface Optimizer {
  readonly id: OptimizerOptions['kind'];
  readonly summary: string;
  /** Names of the per-parameter arrays that the rule keeps. */
  slots(options: OptimizerOptions): readonly string[];
  /** θ ← rule(θ, g) for one tensor. `step` counts from 1; `learningRate` has the schedule in it. */
  update(args: UpdateArgs): void;
}

export interface UpdateArgs {
  readonly values: Float32Array;
  readonly gradient: Float32Array;
  /** In the order of `slots`. */
  readonly slots: readonly Float32Array[];
  readonly step: number;
  readonly learningRate: number;
  readonly options: OptimizerOptions;
}

export function initialState(
  optimizer: Optimizer,
  params: Params,
  options: OptimizerOptions,
): OptimizerState {
  const fresh = () => new Map([...params].map(([name, { data }]) => [name, new Float32Array(data.length)]));
  return { step: 0, slots: new Map(optimizer.slots(options).map((slot) => [slot, fresh()])) };
}

/** One optimizer step over all tensors: `params` and `state` are changed in place. */
export function optimizerStep(
  optimizer: Optimizer,
  params: Params,
  gradients: Params,
  state: OptimizerState,
  options: OptimizerOptions,
  learningRate: number,
): void {
  state.step += 1;
  for (const [name, { data: values }] of params) {
    const gradient = gradients.get(name)!.data;
    const slots = [...state.slots.values()].map((slot) => slot.get(name)!);
    optimizer.update({ values, gradient, slots, step: state.step, learningRate, options });
  }
}
