/**
 * How fast one training step is: the same batch again and again, full-sequence labels, AdamW, no dropout, no clipping.
 * The first step is warm-up (it compiles), the median of the others counts. Time comes in as an argument.
 */

import { median } from '../base/median.ts';
import { rng } from '../base/random.ts';
import type { Params } from '../base/tensor.ts';
import type { TokenizedExample } from '../data/types.ts';
import type { Model } from '../models/model.ts';
import type { Engine } from './engine.ts';

export interface BenchOptions {
  readonly batchSize: number;
  /** Rows of one pass; a step takes batchSize / microBatchSize. */
  readonly microBatchSize: number;
  readonly length: number;
  /** Timed steps; one more is taken before them. */
  readonly steps: number;
  readonly vocabSize: number;
  /** Of a classifier: each example has a random class instead of supervised tokens. */
  readonly numClasses?: number;
  readonly seed: number;
  readonly nowMs: () => number;
}

/** What random examples for a model are drawn from. */
export function drawnFrom({
  definition,
}: Pick<Model, 'definition'>): Pick<BenchOptions, 'vocabSize' | 'numClasses'> {
  const { shape, classifier } = definition;
  return {
    vocabSize: shape.vocabSize,
    ...(classifier === undefined ? {} : { numClasses: classifier.labels.length }),
  };
}

export interface BenchResult {
  readonly secondsPerStep: number;
  readonly tokensPerSecond: number;
  /** Before any step was taken: close to the logarithm of the number of logits for random weights. */
  readonly lossAtInit: number;
  /** Of the last step. */
  readonly loss: number;
}

export async function benchTraining(
  engine: Engine,
  params: Params,
  options: BenchOptions,
): Promise<BenchResult> {
  const { batchSize, length, steps, nowMs } = options;
  const times: number[] = [];
  let last = nowMs();
  const result = await engine.train(params, randomExamples(options), trainOptions(options), () => {
    const now = nowMs();
    times.push((now - last) / 1000);
    last = now;
  });
  const secondsPerStep = median(times.slice(-steps));
  return {
    secondsPerStep,
    tokensPerSecond: (batchSize * length) / secondsPerStep,
    lossAtInit: result.steps[0]?.loss ?? Number.NaN,
    loss: result.steps.at(-1)?.loss ?? Number.NaN,
  };
}

function trainOptions({ batchSize, microBatchSize, length, steps, seed }: BenchOptions) {
  return {
    optimizer: {
      kind: 'adamw',
      learningRate: 1e-4,
      beta1: 0.9,
      beta2: 0.999,
      epsilon: 1e-8,
      weightDecay: 0.01,
      momentum: 0,
    },
    schedule: { kind: 'constant', warmupSteps: 0, minFactor: 0 },
    steps: steps + 1,
    stepOffset: 0,
    totalSteps: steps + 1,
    batchSize,
    microBatchSize,
    maxLength: length,
    packing: false,
    seedPath: [seed, 'bench'],
  } as const;
}

/** Every token but the first is a target, as with `labels = input_ids`; or the sequence has a class. */
function randomExamples({
  batchSize,
  length,
  vocabSize,
  numClasses,
  seed,
}: BenchOptions): TokenizedExample[] {
  const random = rng('bench', seed);
  return Array.from({ length: batchSize }, () => {
    const tokens = Int32Array.from({ length }, () => random.below(vocabSize));
    const supervised = new Uint8Array(length);
    if (numClasses !== undefined)
      return { tokens, supervised, numTargets: 1, classId: random.below(numClasses) };
    return { tokens, supervised: supervised.fill(1, 1), numTargets: length - 1 };
  });
}
