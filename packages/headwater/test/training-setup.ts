/** For tests of the training room: fixture models under a tuning kind, toy examples, distances. */

import { join } from 'node:path';
import { rng } from '../src/base/random.ts';
import type { Params } from '../src/base/tensor.ts';
import type { TokenizedExample } from '../src/data/types.ts';
import { openCheckpoint, readWeight } from '../src/models/checkpoint-node.ts';
import type { Model } from '../src/models/model.ts';
import type { Executor } from '../src/runtime/executor.ts';
import { createNodeExecutor } from '../src/runtime/onnx-node.ts';
import type { Engine, TrainOptions } from '../src/training/engine.ts';
import { createEngine } from '../src/training/engine-core.ts';
import type { BoundTuning } from '../src/tuning/kind.ts';

export const FIXTURES = join(import.meta.dirname, 'fixtures');

export interface Setup {
  readonly model: Model;
  readonly tuning: BoundTuning;
  readonly engine: Engine;
  readonly params: Params;
}

/**
 * `bind` makes the tuning from the model; parameters are its fresh ones, with every zero tensor made random. `onSession` hears
 * of every session that is built.
 */
export async function setup(
  folder: string,
  bind: (model: Model) => BoundTuning | Promise<BoundTuning>,
  onSession: (label: string) => void = () => undefined,
): Promise<Setup> {
  const model = await openCheckpoint(join(FIXTURES, folder));
  const tuning = await bind(model);
  const fresh = await tuning.init(rng('test'), (name) => readWeight(model.weights, name));
  const params = new Map(
    [...fresh].map(([name, value]) => {
      const stream = rng('test', name);
      const isZero = value.data.every((item) => item === 0);
      return [name, isZero ? { ...value, data: value.data.map(() => 0.1 * stream.normal()) } : value];
    }),
  );
  return { model, tuning, params, engine: createEngine({ model, tuning, executor: watched(onSession) }) };
}

function watched(onSession: (label: string) => void): Executor {
  const executor = createNodeExecutor();
  return {
    ...executor,
    load(graph, weights, options) {
      onSession(options?.label ?? '');
      return executor.load(graph, weights, options);
    },
  };
}

/** Random sequences; the first third of each is a prompt. */
export function toyExamples(lengths: readonly number[], vocabSize: number, seed = 0): TokenizedExample[] {
  return lengths.map((length, i) => {
    const stream = rng('toy', seed, i);
    const tokens = Int32Array.from({ length }, () => stream.below(vocabSize));
    const supervised = Uint8Array.from(tokens, (_, t) => (t > 0 && t >= length / 3 ? 1 : 0));
    return { tokens, supervised, numTargets: supervised.reduce((a, b) => a + b, 0) };
  });
}

export const TRAIN: TrainOptions = {
  optimizer: {
    ...{ kind: 'adamw', learningRate: 5e-3, beta1: 0.9, beta2: 0.999, epsilon: 1e-8 },
    ...{ weightDecay: 0.01, momentum: 0 },
  },
  schedule: { kind: 'constant', warmupSteps: 0, minFactor: 0 },
  ...{ steps: 4, stepOffset: 0, totalSteps: 4, batchSize: 4, microBatchSize: 4, maxGradNorm: 1 },
  ...{ maxLength: 64, packing: false, seedPath: ['seed', 1] },
};

/** ‖a − b‖ / ‖b‖ over all tensors. */
export function distance(a: Params, b: Params): number {
  let [difference, reference] = [0, 0];
  for (const [name, { data }] of b)
    for (const [i, value] of data.entries()) {
      difference += (a.get(name)!.data[i]! - value) ** 2;
      reference += value ** 2;
    }
  return Math.sqrt(difference / reference);
}
