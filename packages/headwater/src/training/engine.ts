/**
 * The training engine of one thread: a model, a tuning kind and an executor bound together. Sessions are built per
 * static shape on first use and reused by every client that this thread serves; parameters arrive with each call.
 */

import type { Params } from '../base/tensor.ts';
import type { TokenizedExample } from '../data/types.ts';
import type { Generated, GenerationRequest, Generator } from './generation/generator.ts';
import type { GenerateOptions, OnToken } from './generation/options.ts';
import type { BoundObjective } from './objectives/objective.ts';
import type { Pass } from './pass.ts';
import type { DistributionOptions, ScoredDistributions } from './teacher.ts';

export type { GenerateOptions, OnToken } from './generation/options.ts';

export interface OptimizerOptions {
  readonly kind: 'adamw' | 'sgd';
  readonly learningRate: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  readonly weightDecay: number;
  /** SGD only. */
  readonly momentum: number;
}

export interface ScheduleOptions {
  readonly kind: 'constant' | 'linear' | 'cosine';
  readonly warmupSteps: number;
  /** Fraction of the learning rate at the end of linear and cosine decay. */
  readonly minFactor: number;
}

/** Plain data: it travels to workers. */
export interface ExamplePrivacyOptions {
  /** C. */
  readonly clipNorm: number;
  /** z; 0: none. */
  readonly noiseMultiplier: number;
  /** q. */
  readonly samplingRate: number;
  /** `simulated`: who has the seed can draw the same again. `secret`: nobody can. */
  readonly randomness: 'simulated' | 'secret';
}

export interface TrainOptions {
  readonly optimizer: OptimizerOptions;
  readonly schedule: ScheduleOptions;
  /** Optimizer steps to take; examples are reshuffled when they run out. */
  readonly steps: number;
  /** Steps already taken in the whole run and steps of the whole run: the schedule spans rounds. */
  readonly stepOffset: number;
  readonly totalSteps: number;
  /** Examples per optimizer step. */
  readonly batchSize: number;
  /** Examples per forward/backward pass; batchSize / microBatchSize passes are accumulated. */
  readonly microBatchSize: number;
  /** Clip the global gradient norm to this; omitted: no clipping. */
  readonly maxGradNorm?: number;
  readonly maxLength: number;
  readonly packing: boolean;
  /** First part of every random path in this call (shuffling, dropout). */
  readonly seedPath: readonly (string | number)[];
  /** Differential privacy of each example: steps take Poisson samples, `batchSize` says nothing. Omitted: none. */
  readonly privacy?: ExamplePrivacyOptions | undefined;
}

export interface StepReport {
  readonly step: number;
  readonly loss: number;
  readonly gradNorm: number;
  readonly learningRate: number;
  readonly numTokens: number;
  readonly numTargets: number;
  /** What else the objective has to say of the step, by name. */
  readonly figures?: Readonly<Record<string, number>>;
}

export interface TrainResult {
  readonly params: Params;
  readonly steps: readonly StepReport[];
  readonly meanLoss: number;
  readonly numExamples: number;
  readonly numTokens: number;
  readonly numTargets: number;
  /** Means of the steps' figures. */
  readonly figures?: Readonly<Record<string, number>>;
}

/** Teacher-forced scores of one example. */
export interface ExampleScore {
  /** Sum of −log p over its targets, nats. */
  readonly nll: number;
  readonly numTargets: number;
  /** The same sum under the params that a run starts from, where a task asks for it. */
  readonly referenceNll?: number;
  /** Targets whose argmax is right; exact match under greedy decoding ⇔ numCorrect === numTargets. */
  readonly numCorrect: number;
  /** Of a sequence with a class: its class and the likeliest one. */
  readonly classified?: { readonly target: number; readonly predicted: number };
}

export interface GeneratorOptions {
  /** Requests that run side by side. */
  readonly batchSize: number;
  /** Tokens of prompt and answer together; at most the model's positions. */
  readonly maxTokens: number;
}

/** What a federated method changes in a client's training. */
export interface LocalTraining extends Pass {
  /**
   * Gradient of what is added to the loss, at the params of a step and for its examples; joins the gradient of the data
   * before clipping.
   */
  readonly extraGradient?: (
    params: Params,
    examples: readonly TokenizedExample[],
  ) => Params | undefined | Promise<Params | undefined>;
  /** In place of the engine's own. */
  readonly objective?: BoundObjective | undefined;
  /** In place of backpropagation: an estimate from losses alone. No graph with gradients is built then. */
  readonly estimate?: (at: EstimationPoint) => Promise<{ readonly loss: number; readonly grads: Params }>;
}

/** Where a gradient is estimated: of all tensors that are not frozen. */
export interface EstimationPoint {
  readonly params: Params;
  /** Of this training, from 0. */
  readonly step: number;
  /** The objective's loss on the step's examples, without dropout. */
  readonly loss: (params: Params) => Promise<number>;
}

export interface Engine {
  train(
    params: Params,
    examples: readonly TokenizedExample[],
    options: TrainOptions,
    onStep?: (report: StepReport) => void,
    local?: LocalTraining,
  ): Promise<TrainResult>;
  /** The objective's loss on examples and its gradients, without a step (methods with their own optimizer). */
  gradients(
    params: Params,
    examples: readonly TokenizedExample[],
    options: { readonly maxLength: number } & Pass,
  ): Promise<{ loss: number; grads: Params }>;
  /** The objective's loss on examples, a mean, without dropout. */
  loss(
    params: Params,
    examples: readonly TokenizedExample[],
    options: { readonly batchSize: number; readonly maxLength: number },
  ): Promise<number>;
  score(
    params: Params,
    examples: readonly TokenizedExample[],
    options: { readonly batchSize: number; readonly maxLength: number },
  ): Promise<ExampleScore[]>;
  /** The likeliest tokens at every target of each example, teacher-forced: what others may learn from. */
  distributions(
    params: Params,
    examples: readonly TokenizedExample[],
    options: DistributionOptions & { readonly batchSize: number; readonly maxLength: number },
  ): Promise<ScoredDistributions[]>;
  /** Logits of the class of one token sequence, [V]. Throws MODEL_UNSUPPORTED for models that write text. */
  classify(params: Params, tokens: Int32Array): Promise<Float32Array>;
  /** Logits [T, V] of one token sequence. */
  logits(params: Params, tokens: Int32Array): Promise<Float32Array>;
  /**
   * The new tokens, without the prompt. Throws OPTION_INVALID for an empty prompt and when prompt and new tokens exceed the
   * model's positions, MODEL_UNSUPPORTED for models that do not continue text.
   */
  generate(
    params: Params,
    prompt: Int32Array,
    options: GenerateOptions,
    onToken?: OnToken,
  ): Promise<Int32Array>;
  /** As `generate` for many prompts, at most `batchSize` of them at a time; each has its own length, options and end. */
  generateBatch(
    params: Params,
    requests: readonly GenerationRequest[],
    options?: { readonly batchSize?: number },
  ): Promise<Generated[]>;
  /** Generation that goes on: requests come and go, what they have in common with earlier ones is not computed again. */
  openGenerator(params: Params, options: GeneratorOptions): Generator;
}
