/**
 * What a client's round is made of, for methods that do more than train and send the difference: control variates, two
 * models, gradients that are estimated. It knows no data, no files and no network; the standard round is here too.
 */

import type { Rng } from '../base/random.ts';
import type { Params } from '../base/tensor.ts';
import type { LocalTraining, OptimizerOptions, StepReport } from '../training/engine.ts';
import type { TrainableTensor } from '../tuning/kind.ts';
import { differenceOf, selectParams } from './params.ts';
import type { TensorRole } from './tensor-role.ts';
import type { TrainingStats } from './training-stats.ts';

export interface LocallyTrained {
  readonly params: Params;
  readonly steps: readonly StepReport[];
  readonly stats: TrainingStats;
}

export interface LocalRound {
  readonly round: number;
  readonly owner: string;
  /** Optimizer steps of this round. */
  readonly steps: number;
  /** Of the round's first step, with the schedule in it. */
  readonly learningRate: number;
  /** As the recipe has it, without the schedule. */
  readonly optimizer: OptimizerOptions;
  /** All tensors: global ones as received, personal ones as this owner left them. */
  readonly start: Params;
  /** What the method kept here after this owner's last accepted round, under names of its own. */
  readonly memory: Params | undefined;
  /** The tensors of an update in this round. */
  readonly wire: readonly TrainableTensor[];
  role(name: string): TensorRole;
  /** Its own stream for each purpose. */
  random(purpose: string): Rng;
  /**
   * The recipe's training on the round's examples, from any params; frozen and given tensors stay. The same call gives the
   * same bits. `local` adds to what the method's `localObjective` says.
   */
  train(params: Params, local?: LocalTraining): Promise<LocallyTrained>;
  /** Mean −log p over the targets of the examples that step `step` (from 0) would take, without dropout. */
  loss(params: Params, step: number): Promise<number>;
  /** The same with its gradient, of all tensors. */
  gradients(params: Params, step: number): Promise<{ readonly loss: number; readonly grads: Params }>;
  /** Mean −log p over the targets of all of the owner's examples, without dropout. */
  lossOnAll(params: Params): Promise<number>;
  /** Figures of a round without `train`: so many steps, with these losses. */
  statsOf(losses: readonly number[]): TrainingStats;
}

export interface LocalOutcome {
  /** The tensors of `wire`. */
  readonly update: Params;
  /** Values of personal tensors from now on. Omitted: they stay. */
  readonly personal?: Params;
  /** What the method wants to find in this owner's next round. Omitted: nothing. */
  readonly memory?: Params;
  readonly stats: TrainingStats;
}

/** Train from what was received, send the difference, keep what is personal. */
export async function standardRound(local: LocalRound): Promise<LocalOutcome> {
  const { params, stats } = await local.train(local.start);
  const travels = new Set(local.wire.map(({ name }) => name));
  const sent = (of: Params) => selectParams(of, (name) => travels.has(name));
  return {
    update: differenceOf(sent(params), sent(local.start)),
    personal: selectParams(params, (name) => local.role(name) === 'personal'),
    stats,
  };
}
