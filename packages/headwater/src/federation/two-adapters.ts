/**
 * What methods with a shared adapter and one of the owner's own have in common: who holds what, how much of each the network
 * takes in, trainings of one while the other stays. It knows no stages and no server.
 */

import type { Params } from '../base/tensor.ts';
import type { TrainableTensor } from '../tuning/kind.ts';
import { adapterWeights, FIRST_WEIGHT, isSecondFactor, SECOND_WEIGHT } from '../tuning/second-adapter.ts';
import type { LocallyTrained, LocalRound, LocalTask } from './local-round.ts';
import { needsLora } from './lora-factors.ts';
import { overlaid, selectParams } from './params.ts';
import type { TensorRole } from './tensor-role.ts';

/** The second adapter stays with its owner; the weights of the two are nobody's to train. */
export function adapterRole({ name }: TrainableTensor): TensorRole {
  if (name === FIRST_WEIGHT || name === SECOND_WEIGHT) return 'frozen';
  return isSecondFactor(name) ? 'personal' : 'shared';
}

/** For methods with two adapters: what to say where there is no LoRA to double. */
export function needsTwoAdapters(tensors: readonly TrainableTensor[]): string[] {
  const mistakes = needsLora(tensors);
  if (mistakes.length > 0 || tensors.some(({ name }) => isSecondFactor(name))) return mistakes;
  return ['it puts a second pair of factors beside each of LoRA’s, which only tuning.kind lora has'];
}

/** The network that takes in `first` of the shared adapter and `second` of the owner’s. */
export function weighted(params: Params, first: number, second: number): Params {
  return overlaid(params, adapterWeights(first, second));
}

export function secondOf(params: Params): Params {
  return selectParams(params, isSecondFactor);
}

/** Trains one of the two from `params`; the other stays bit for bit. */
export function trainOne(
  local: LocalRound,
  params: Params,
  which: 'first' | 'second',
  task: LocalTask = {},
): Promise<LocallyTrained> {
  const names = [...params.keys()];
  const still = names.filter((name) => isSecondFactor(name) === (which === 'first'));
  return local.train(params, { ...task, frozen: new Set([...(task.frozen ?? []), ...still]) });
}
