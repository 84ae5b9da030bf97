/**
 * What a client's round is made of, for methods that do more than train and send the difference: control variates, two
 * models, gradients that are estimated. It knows no data, no files and no network; the standard round is here too.
 */

import type { Rng } from '../base/random.ts';
import type { Params } from '../base/tensor.ts';
import type { TokenizedExample } from '../data/types.ts';
import type { LocalTraining, OptimizerOptions, StepReport } from '../training/engine.ts';
import type { Pass } from '../training/pass.ts';
import type { DistributionOptions, ScoredDistributions, Teacher } from '../training/teacher.ts';
import type { TrainableTensor } from '../tuning/kind.ts';
import { differenceOf, selectParams } from './params.ts';
import type { TensorRole } from './tensor-role.ts';
import type { TrainingStats } from './training-stats.ts';

export interface LocallyTrained {
  readonly params: Params;
  readonly steps: readonly StepReport[];
  readonly stats: TrainingStats;
}

/** A training of the round with other examples in place of its own. */
export interface LocalTask extends LocalTraining {
  readonly examples?: readonly TokenizedExample[];
  /** Optimizer steps instead of the round's, at the learning rate of its first. */
  readonly steps?: number;
  /** The loss is a teacher's instead of the recipe's objective. */
  readonly teacher?: Teacher;
}

/** Who trains in a round, on whatever examples: an owner, or the server on public ones. */
export interface Learner {
  /**
   * The recipe's training on the round's examples, from any params; frozen and given tensors stay. The same call gives the
   * same bits. `local` adds to what the method's `localObjective` says.
   */
  train(params: Params, local?: LocalTask): Promise<LocallyTrained>;
  /** The likeliest tokens at every target of examples, without dropout. */
  distributions(
    params: Params,
    examples: readonly TokenizedExample[],
    options: DistributionOptions,
  ): Promise<ScoredDistributions[]>;
}

/** Examples of `data.public` in an endless order that follows from the run's seed. */
export interface PublicExamples {
  /** `count` of them for a round (from 1), all where there are fewer. */
  ofRound(round: number, count: number): readonly TokenizedExample[];
}

/** A server that learns too, after its step; its training has no private example. */
export interface ServerRound extends Learner {
  readonly round: number;
  /** What its step gave. */
  readonly params: Params;
  readonly publicExamples: PublicExamples;
}

export interface ServerTrained {
  /** The next global params. */
  readonly params: Params;
  /** What is worth knowing, by name; recorded with the round. */
  readonly figures?: Readonly<Record<string, number>>;
}

/** Texts that the model is to continue. */
export interface Continuation {
  readonly prompt: Int32Array;
  readonly maxNewTokens: number;
}

/** The model as a writer, and its tokenizer. */
export interface Writing {
  encode(text: string): Promise<ArrayLike<number>>;
  /** Tokens that end a text. */
  readonly endTokens: readonly number[];
  /** Of prompt and continuation together. */
  readonly maxTokens: number;
  /** Each continuation without its end token; `temperature` 0 takes the likeliest tokens. */
  write(
    params: Params,
    texts: readonly Continuation[],
    options: { readonly temperature: number; readonly purpose: string },
  ): Promise<Int32Array[]>;
}

export interface LocalRound extends Learner {
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
  /** What the network takes in for these params: other tensors where the tuning derives them (`Derivation`). */
  inputs(params: Params): Params;
  /** The examples of this round's steps, in the order of the owner's stream. */
  readonly examples: readonly TokenizedExample[];
  /** Undefined where there is no tokenizer, or a model that writes nothing. */
  readonly writing: Writing | undefined;
  /** Its own stream for each purpose. */
  random(purpose: string): Rng;
  /**
   * The training objective's loss on the examples that step `step` (from 0) would take, without dropout: of language
   * modelling the mean −log p over their targets.
   */
  loss(params: Params, step: number): Promise<number>;
  /** The same with its gradient, of all tensors. */
  gradients(params: Params, step: number): Promise<{ readonly loss: number; readonly grads: Params }>;
  /** The same for examples, through a part of the network where `pass` says so. */
  gradientsOn(
    params: Params,
    examples: readonly TokenizedExample[],
    pass?: Pass,
  ): Promise<{ readonly loss: number; readonly grads: Params }>;
  /** The same loss on all of the owner's examples. */
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
export async function standardRound(local: LocalRound, training?: LocalTask): Promise<LocalOutcome> {
  const { params, stats } = await local.train(local.start, training);
  const travels = new Set(local.wire.map(({ name }) => name));
  const sent = (of: Params) => selectParams(of, (name) => travels.has(name));
  return {
    update: differenceOf(sent(params), sent(local.start)),
    personal: selectParams(params, (name) => local.role(name) === 'personal'),
    stats,
  };
}
