/**
 * A federated method is one record: data plus small pure functions for the slots in which published methods differ
 * (Nguyen et al. 2026 survey the field the same way). An omitted slot is FedAvg's. A record knows no HTTP, no files, no
 * threads. Slots that the engine does not carry out yet (gradient estimator, changes of the base) join this type together with
 * the code that does.
 */

import type { z } from 'zod';
import type { Rng } from '../base/random.ts';
import type { Params } from '../base/tensor.ts';
import type { TrainableTensor } from '../tuning/kind.ts';
import { addScaled } from './params.ts';

/**
 * `shared` tensors are trained and travel; `personal` ones are trained and stay with their owner from round to round;
 * `frozen` ones stay as the global params have them, without gradient or optimizer state.
 */
export type TensorRole = 'shared' | 'personal' | 'frozen';

/** Who does what when; `random` is seeded by run, owner and round. */
export interface ClientContext {
  readonly round: number;
  readonly owner: string;
  readonly random: Rng;
}

export interface LocalStep {
  /** As they are before this step. */
  readonly params: Params;
  /** As the client began the round with them. */
  readonly start: Params;
}

export interface WeightedUpdate {
  readonly owner: string;
  readonly aggregationWeight: number;
  readonly update: Params;
}

/**
 * `linear`: the weighted mean, in exact fixed-point sums, memory of one model. `canonical`: any rule over all updates at
 * once, given in the order of the owners' names; memory of the whole cohort.
 */
export type Aggregation<O> =
  | { readonly kind: 'linear' }
  | { readonly kind: 'canonical'; combine(updates: readonly WeightedUpdate[], options: O): Params };

export interface ServerStepInput<O> {
  readonly round: number;
  /** Global params before this round. */
  readonly params: Params;
  /** What `aggregate` made of the cohort's updates. */
  readonly aggregate: Params;
  /** What the server kept from the round before; undefined in the first. */
  readonly state: Params | undefined;
  readonly serverLearningRate: number;
  readonly options: O;
}

export interface ServerStepOutput {
  readonly params: Params;
  readonly state?: Params;
}

/** What a method may ask of a run before it starts. */
export interface RunFacts {
  readonly numOwners: number;
  readonly cohortSize: number;
  readonly quorum: number;
  readonly rounds: number;
  readonly tensors: readonly TrainableTensor[];
}

export interface Method<O> {
  /** The one id: file name, recipe, CLI, docs, metrics. */
  readonly id: string;
  readonly summary: string;
  /** Paper or other origin. */
  readonly source: string;
  readonly options: z.ZodType<O>;
  /** Whether masked sums are enough for the server, or why not. */
  readonly secureAggregation: 'yes' | { readonly noBecause: string };
  /** Options under which this method is another one, bit for bit; checked by the contract tests. */
  readonly reducesTo?: readonly { readonly id: string; readonly when: O }[];
  /** One sentence per unmet need (`n ≥ 2f + 3 …`). */
  preconditions?(facts: RunFacts, options: O): readonly string[];
  selectTrainable?(tensor: TrainableTensor, round: number, options: O): TensorRole;
  /** Gradient of what the method adds to the loss of the data; undefined: nothing. Joins before clipping. */
  localObjective?(step: LocalStep, options: O): Params | undefined;
  /** What is sent for an update: same tensors, same shapes. */
  encodeUp?(update: Params, context: ClientContext, options: O): Params;
  readonly aggregate?: Aggregation<O>;
  serverStep?(input: ServerStepInput<O>): ServerStepOutput;
  /** What a client receives for the global params: same tensors, same shapes. */
  encodeDown?(params: Params, context: ClientContext, options: O): Params;
}

export type BoundStepInput = Omit<ServerStepInput<unknown>, 'options'>;

/** A method with its options inside and every slot filled. */
export interface BoundMethod {
  readonly id: string;
  preconditions(facts: RunFacts): readonly string[];
  role(tensor: TrainableTensor, round: number): TensorRole;
  /** Undefined: the loss of the data alone. */
  readonly localObjective: ((step: LocalStep) => Params | undefined) | undefined;
  encodeUp(update: Params, context: ClientContext): Params;
  /** Undefined: the linear weighted mean. */
  readonly combine: ((updates: readonly WeightedUpdate[]) => Params) | undefined;
  /** Undefined: params + η · aggregate (`fedAvgStep`), element by element. */
  readonly serverStep: ((input: BoundStepInput) => ServerStepOutput) | undefined;
  encodeDown(params: Params, context: ClientContext): Params;
}

/** `options` were parsed by `method.options`. */
export function bindMethod<O>(method: Method<O>, options: O): BoundMethod {
  const { aggregate, serverStep, localObjective } = method;
  return {
    id: method.id,
    preconditions: (facts) => method.preconditions?.(facts, options) ?? [],
    role: (tensor, round) => method.selectTrainable?.(tensor, round, options) ?? 'shared',
    localObjective:
      localObjective === undefined ? undefined : (step) => localObjective.call(method, step, options),
    encodeUp: (update, context) => method.encodeUp?.(update, context, options) ?? update,
    combine: aggregate?.kind === 'canonical' ? (updates) => aggregate.combine(updates, options) : undefined,
    serverStep:
      serverStep === undefined ? undefined : (input) => serverStep.call(method, { ...input, options }),
    encodeDown: (params, context) => method.encodeDown?.(params, context, options) ?? params,
  };
}

/** params + η · aggregate. */
export function fedAvgStep(input: BoundStepInput): ServerStepOutput {
  return { params: addScaled(input.params, input.aggregate, input.serverLearningRate) };
}

/** Tensors that travel in a round. */
export function sharedTensors(
  method: BoundMethod,
  tensors: readonly TrainableTensor[],
  round: number,
): TrainableTensor[] {
  return tensors.filter((tensor) => method.role(tensor, round) === 'shared');
}
