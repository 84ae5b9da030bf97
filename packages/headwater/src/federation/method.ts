/**
 * A federated method is one record: data plus small pure functions for the slots in which published methods differ
 * (Nguyen et al. 2026 survey the field the same way). An omitted slot is FedAvg's. A record knows no HTTP, no files, no
 * threads.
 */

import type { z } from 'zod';
import type { Rng } from '../base/random.ts';
import type { Params } from '../base/tensor.ts';
import type { OptimizerOptions } from '../training/engine.ts';
import type { BoundTuning, ModelLayout, TrainableTensor } from '../tuning/kind.ts';
import type { LocalOutcome, LocalRound, PublicExamples, ServerRound, ServerTrained } from './local-round.ts';
import { addScaled, overlaid } from './params.ts';
import type { BoundRule } from './robust/rule.ts';
import type { TensorRole } from './tensor-role.ts';
import type { Weighting } from './weights.ts';

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
  /** The tensors of this owner's `wire`. */
  readonly update: Params;
}

/** What a rule over whole updates may look at. */
export interface CombineContext {
  readonly round: number;
  /** Global params before this round. */
  readonly params: Params;
  /** What the server kept from the round before; undefined in the first. */
  readonly state: Params | undefined;
}

/**
 * `linear`: the weighted mean, in exact fixed-point sums, memory of one model. `canonical`: any rule over all updates at
 * once, given in the order of the owners' names; memory of the whole cohort. What it gives is what `serverStep` gets.
 */
export type Aggregation<O> =
  | ({ readonly kind: 'linear' } & RoundFigures<O>)
  | ({
      readonly kind: 'canonical';
      combine(updates: readonly WeightedUpdate[], options: O, context: CombineContext): Params;
    } & RoundFigures<O>);

interface RoundFigures<O> {
  /**
   * What is worth knowing about a round, by name; recorded with it, nothing follows from it. Of linear methods it is asked
   * only where the updates of a cohort are few and small: their sum does not need them in memory.
   */
  figures?(updates: readonly WeightedUpdate[], options: O, round: RoundParams): Figures;
}

/** Global params before and after a round. */
export interface RoundParams {
  readonly before: Params;
  readonly after: Params;
}

type Figures = Readonly<Record<string, number>>;

export interface ServerStepInput<O> {
  readonly round: number;
  /** Global params before this round. */
  readonly params: Params;
  /** What `aggregate` made of the cohort's updates. */
  readonly aggregate: Params;
  /** What the server kept from the round before; undefined in the first. */
  readonly state: Params | undefined;
  /** The cohort's part of the aggregation weight of all owners, in (0, 1]. */
  readonly participation: number;
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
  /** Of the clients. This and what follows: undefined where nobody can say. */
  readonly optimizer?: OptimizerOptions | undefined;
  readonly maxGradNorm?: number | undefined;
  readonly localSteps?: number | undefined;
  /** Id of what the updates travel as; all but `none` lose something. */
  readonly compression?: string | undefined;
  readonly mode?: 'synchronous' | 'buffered' | undefined;
  readonly serverLearningRate?: number | undefined;
  readonly weighting?: Weighting | undefined;
  /** What the training objective learns from; undefined: an answer to each prompt. */
  readonly examples?: 'pairs' | undefined;
  /** Where no other owner can join later. */
  readonly ownerNames?: readonly string[] | undefined;
  /** Of `data.public`; 0: there is no such file. */
  readonly numPublicExamples?: number | undefined;
  /** Of the groups whose sums are opened, where updates are masked; undefined: one sum, or none are masked. */
  readonly groupSize?: number | undefined;
  /** Largest norm of an update that is accepted; undefined: any. */
  readonly maxUpdateNorm?: number | undefined;
}

/** What a recipe says about the clients of a run. */
export type ClientFacts = Pick<
  RunFacts,
  'optimizer' | 'maxGradNorm' | 'compression' | 'examples' | 'ownerNames' | 'numPublicExamples'
>;

/** As the recipe has it; undefined where there is no run. */
export interface RunLength {
  readonly rounds: number;
  readonly localSteps: number;
}

/** What an owner keeps from its last accepted round. */
export interface Kept {
  readonly personal: Params;
  readonly memory: Params | undefined;
}

/** Where fresh params come from. */
export interface InitialContext {
  readonly random: Rng;
  /** A tensor of the base model as float32. */
  readonly baseValue: (name: string) => Promise<Float32Array>;
  /** For methods whose server trains. */
  readonly publicExamples?: PublicExamples | undefined;
}

/** What FedAvg has and a method may lack, in words. Contract tests prove what a record declares of each. */
export const METHOD_PROPERTIES = {
  'one-owner':
    'one owner alone (η = 1): what it uses after a round is what plain training of the tensors it trains gives',
  'any-order':
    'updates may be counted in any order (they are counted by the owners’ names, whoever answers first): the same bits of a sum, the same within rounding of another rule',
  'still-round': 'a round in which nobody moved leaves the params, bit for bit',
  resumable: 'a round made again from what is stored gives the same bits',
  'wire-size': 'what travels is as large as the record says before anything is trained',
  'base-weights': 'the weights of the base stay: the result is an adapter where the tuning’s is',
} as const;

export type MethodProperty = keyof typeof METHOD_PROPERTIES;

export interface Method<O> {
  /** The one id: file name, recipe, CLI, docs, metrics. */
  readonly id: string;
  readonly summary: string;
  /** Paper or other origin. */
  readonly source: string;
  readonly options: z.ZodType<O>;
  /** Whether masked sums are enough for the server, or why not. */
  readonly secureAggregation: 'yes' | { readonly noBecause: string };
  /**
   * Whether all that its clients send or keep follows from the noised steps of one `LocalRound.train`, as differential privacy of single
   * examples needs it, or why not. Default: yes for methods without a `client` of their own, no for others.
   */
  readonly exampleLevel?: 'yes' | { readonly noBecause: string };
  /**
   * Options under which this method is another one, checked by the contract tests: bit for bit, or `quantum`: within the
   * rounding of the plan's fixed-point sums, which a rule over whole updates does not use.
   */
  readonly reducesTo?: readonly { readonly id: string; readonly when: O; readonly within?: 'quantum' }[];
  /** Properties that it does not have, and why; all others it has. The contract tests show a counterexample to each. */
  readonly exceptions?: Readonly<Partial<Record<MethodProperty, string>>>;
  /** One sentence per unmet need (`n ≥ 2f + 3 …`). */
  preconditions?(facts: RunFacts, options: O): readonly string[];
  /** What is tuned by this method: a second adapter, a correction of the base … Default: as the recipe says. */
  tuning?(bound: BoundTuning, layout: ModelLayout, options: O, run?: RunLength): BoundTuning;
  /** From the tuning kind's fresh params to those that the run starts from. Not called when it starts from an adapter. */
  initialParams?(params: Params, context: InitialContext, options: O): Promise<Params>;
  selectTrainable?(tensor: TrainableTensor, round: number, options: O): TensorRole;
  /** The tensors of an update, also of other names and shapes than the trained ones. Default: the shared tensors. */
  wire?(
    tensors: readonly TrainableTensor[],
    round: number,
    owner: string,
    options: O,
  ): readonly TrainableTensor[];
  /** Gradient of what the method adds to the loss of the data; undefined: nothing. Joins before clipping. */
  localObjective?(step: LocalStep, options: O): Params | undefined;
  /** A client's whole round. Default: train from what was received, send the difference. */
  client?(local: LocalRound, options: O): Promise<LocalOutcome>;
  /** What is sent for an update: the tensors of `wire`. */
  encodeUp?(update: Params, context: ClientContext, options: O): Params;
  readonly aggregate?: Aggregation<O>;
  serverStep?(input: ServerStepInput<O>): ServerStepOutput;
  /**
   * Its server step moves an element of a tensor by what was released for that element, in this and earlier rounds, and by nothing
   * else, so that noise which a release takes away again (DP-FTRL) comes out of where it went. Default: yes without a `serverStep`.
   */
  readonly serverByElement?: true;
  /**
   * What the server itself learns after its step, on the public examples of the run (`data.public`, which such a method
   * needs): a function of these, the params and the seed. Done where the round is aggregated, with the recipe's training
   * options. For canonical rules only: sums are made by processes without a model.
   */
  serverTrain?(server: ServerRound, options: O): Promise<ServerTrained>;
  /**
   * What a client receives of the global params that are shared or given. A tensor may be cut to its leading block or left
   * out: the rest is zero for the client.
   */
  encodeDown?(params: Params, context: ClientContext, options: O): Params;
  /** Another form in which that travels. `whole` has the names and shapes of what `encodeDown` was given. */
  readonly downForm?: {
    pack(received: Params, context: ClientContext, options: O): Params;
    unpack(packed: Params, whole: Params, context: ClientContext, options: O): Params;
  };
  /** Owners for whom this is the same receive the same in a round. Default, with `encodeDown`: each its own. */
  receivesAs?(owner: string, options: O): string;
  /** Whether a training without federation (a baseline) trains a tensor. Default: all but those `given` in round 1. */
  trainedAlone?(tensor: TrainableTensor, options: O): boolean;
  /** Further results, by what follows the name of the result’s folder: `-2` … Default: none. */
  alsoPublished?(params: Params, options: O): ReadonlyMap<string, Params>;
  /** The params that an owner uses and is scored with. Default: the global ones with its personal tensors in place. */
  ownParams?(params: Params, kept: Kept, options: O): Params;
}

/** `participation` omitted: 1. */
export type BoundStepInput = Omit<ServerStepInput<unknown>, 'options' | 'participation'> &
  Partial<Pick<ServerStepInput<unknown>, 'participation'>>;

/** A method with its options inside and every slot filled. */
export interface BoundMethod {
  readonly id: string;
  preconditions(facts: RunFacts): readonly string[];
  tuning(bound: BoundTuning, layout: ModelLayout, run?: RunLength): BoundTuning;
  initialParams(params: Params, context: InitialContext): Promise<Params>;
  role(tensor: TrainableTensor, round: number): TensorRole;
  /** The tensors of an update. */
  wire(tensors: readonly TrainableTensor[], round: number, owner: string): readonly TrainableTensor[];
  /** Whether owners may send different tensors in the same round. */
  readonly wirePerOwner: boolean;
  /** Undefined: the loss of the data alone. */
  readonly localObjective: ((step: LocalStep) => Params | undefined) | undefined;
  /** Undefined: train from what was received, send the difference. */
  readonly client: ((local: LocalRound) => Promise<LocalOutcome>) | undefined;
  encodeUp(update: Params, context: ClientContext): Params;
  /** Whether the sum of the updates is all that the server needs, or why not. */
  readonly secureAggregation: Method<unknown>['secureAggregation'];
  /** The same of the method without the rule that takes the place of its mean: that may be over the means of groups. */
  readonly sumsOnly: Method<unknown>['secureAggregation'];
  /** Whether noised steps are all that leaves a client, or why not. */
  readonly exampleLevel: NonNullable<Method<unknown>['exampleLevel']>;
  /** Undefined: the linear weighted mean. */
  readonly combine: ((updates: readonly WeightedUpdate[], context: CombineContext) => Params) | undefined;
  readonly figures: ((updates: readonly WeightedUpdate[], round: RoundParams) => Figures) | undefined;
  /** What takes the place of the mean, as a recipe may choose; then it is also what `combine` does. Absent: nothing. */
  readonly rule?: BoundRule;
  /** Undefined: params + η · aggregate (`fedAvgStep`), element by element. */
  readonly serverStep: ((input: BoundStepInput) => ServerStepOutput) | undefined;
  /** Whether an element of the params follows from what was released for it alone. */
  readonly serverByElement: boolean;
  /** Undefined: the server does not train. */
  readonly serverTrain: ((server: ServerRound) => Promise<ServerTrained>) | undefined;
  encodeDown(params: Params, context: ClientContext): Params;
  packDown(received: Params, context: ClientContext): Params;
  unpackDown(packed: Params, whole: Params, context: ClientContext): Params;
  /** Whether something is left out of what is shared or given, or travels in another form. */
  readonly cutsDown: boolean;
  receivesAs(owner: string): string;
  trainedAlone(tensor: TrainableTensor): boolean;
  alsoPublished(params: Params): ReadonlyMap<string, Params>;
  ownParams(params: Params, kept: Kept): Params;
}

const UNDECLARED = {
  noBecause: 'its clients do more than train once and send the difference, and it does not say what of',
} as const;

/** As it declares, or what follows from its having a `client` of its own. */
export function exampleLevelOf({
  exampleLevel,
  client,
}: Pick<Method<never>, 'exampleLevel' | 'client'>): BoundMethod['exampleLevel'] {
  return exampleLevel ?? (client === undefined ? 'yes' : UNDECLARED);
}

/** `options` were parsed by `method.options`. */
export function bindMethod<O>(method: Method<O>, options: O): BoundMethod {
  const { aggregate, serverStep, serverTrain, localObjective, client, downForm } = method;
  const cutsDown = method.encodeDown !== undefined || downForm !== undefined;
  const role = (tensor: TrainableTensor, round: number) =>
    method.selectTrainable?.(tensor, round, options) ?? 'shared';
  return {
    id: method.id,
    preconditions: (facts) => method.preconditions?.(facts, options) ?? [],
    tuning: (bound, layout, run) => method.tuning?.(bound, layout, options, run) ?? bound,
    initialParams: async (params, context) => method.initialParams?.(params, context, options) ?? params,
    role,
    wire: (tensors, round, owner) =>
      method.wire?.(tensors, round, owner, options) ??
      tensors.filter((tensor) => role(tensor, round) === 'shared'),
    wirePerOwner: method.wire !== undefined,
    localObjective:
      localObjective === undefined ? undefined : (step) => localObjective.call(method, step, options),
    client: client === undefined ? undefined : (local) => client.call(method, local, options),
    encodeUp: (update, context) => method.encodeUp?.(update, context, options) ?? update,
    secureAggregation: method.secureAggregation,
    sumsOnly: method.secureAggregation,
    exampleLevel: exampleLevelOf(method),
    combine:
      aggregate?.kind === 'canonical'
        ? (updates, context) => aggregate.combine(updates, options, context)
        : undefined,
    figures:
      aggregate?.figures === undefined
        ? undefined
        : (updates, round) => aggregate.figures!(updates, options, round),
    serverStep:
      serverStep === undefined
        ? undefined
        : (input) => serverStep.call(method, { participation: 1, ...input, options }),
    serverByElement: serverStep === undefined || method.serverByElement === true,
    serverTrain:
      serverTrain === undefined ? undefined : (server) => serverTrain.call(method, server, options),
    encodeDown: (params, context) => method.encodeDown?.(params, context, options) ?? params,
    packDown: (received, context) => downForm?.pack(received, context, options) ?? received,
    unpackDown: (packed, whole, context) => downForm?.unpack(packed, whole, context, options) ?? packed,
    cutsDown,
    receivesAs: (owner) => method.receivesAs?.(owner, options) ?? (cutsDown ? owner : ''),
    trainedAlone: (tensor) => method.trainedAlone?.(tensor, options) ?? role(tensor, 1) !== 'given',
    alsoPublished: (params) => method.alsoPublished?.(params, options) ?? new Map(),
    ownParams: (params, kept) => method.ownParams?.(params, kept, options) ?? overlaid(params, kept.personal),
  };
}

/** params + η · aggregate. */
export function fedAvgStep(input: BoundStepInput): ServerStepOutput {
  return { params: addScaled(input.params, input.aggregate, input.serverLearningRate) };
}
