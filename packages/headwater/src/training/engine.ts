/**
 * The training engine of one thread: a model, a tuning kind and an executor bound together. Sessions are built per
 * static shape on first use and reused by every client that this thread serves; parameters arrive with each call.
 */

import type { Params } from '../base/tensor.ts';
import type { TokenizedExample } from '../data/types.ts';

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
}

export interface StepReport {
  readonly step: number;
  readonly loss: number;
  readonly gradNorm: number;
  readonly learningRate: number;
  readonly numTokens: number;
  readonly numTargets: number;
}

export interface TrainResult {
  readonly params: Params;
  readonly steps: readonly StepReport[];
  readonly meanLoss: number;
  readonly numExamples: number;
  readonly numTokens: number;
  readonly numTargets: number;
}

/** Teacher-forced scores of one example. */
export interface ExampleScore {
  /** Sum of −log p over its targets, nats. */
  readonly nll: number;
  readonly numTargets: number;
  /** Targets whose argmax is right; exact match under greedy decoding ⇔ numCorrect === numTargets. */
  readonly numCorrect: number;
}

export interface GenerateOptions {
  readonly maxNewTokens: number;
  readonly stopTokenIds: readonly number[];
  /** 0 = greedy. */
  readonly temperature: number;
  readonly topP: number;
  readonly topK: number;
  readonly seedPath: readonly (string | number)[];
  /** Recompute the whole sequence for each token instead of using the cache (a test oracle). */
  readonly useCache?: boolean;
}

export interface Engine {
  train(
    params: Params,
    examples: readonly TokenizedExample[],
    options: TrainOptions,
    onStep?: (report: StepReport) => void,
  ): Promise<TrainResult>;
  /** Loss and gradients of one batch of examples, without a step (verification, methods with their own optimizer). */
  gradients(
    params: Params,
    examples: readonly TokenizedExample[],
    options: { readonly maxLength: number },
  ): Promise<{ loss: number; grads: Params }>;
  score(
    params: Params,
    examples: readonly TokenizedExample[],
    options: { readonly batchSize: number; readonly maxLength: number },
  ): Promise<ExampleScore[]>;
  /** Logits [T, V] of one token sequence. */
  logits(params: Params, tokens: Int32Array): Promise<Float32Array>;
  generate(
    params: Params,
    prompt: Int32Array,
    options: GenerateOptions,
    onToken?: (id: number) => void,
  ): Promise<Int32Array>;
}
