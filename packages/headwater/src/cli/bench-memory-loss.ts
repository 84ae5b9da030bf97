/** What rounding base weights costs: the model that comes with Headwater learns the same batches from each storage. */

import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { rng, shuffled } from '../base/random.ts';
import { tensor } from '../base/tensor.ts';
import { loadDataset } from '../data/dataset-node.ts';
import { tokenizeExamples } from '../data/tokenize.ts';
import type { TokenizedExample } from '../data/types.ts';
import { openCheckpoint, readWeight } from '../models/checkpoint-node.ts';
import type { Model } from '../models/model.ts';
import { loadTokenizer } from '../models/tokenizer-node.ts';
import { createNodeExecutor } from '../runtime/onnx-node.ts';
import type { Engine, TrainOptions } from '../training/engine.ts';
import { createEngine } from '../training/engine-core.ts';
import { quantizedModel } from '../training/quantized-model-node.ts';
import { lora } from '../tuning/lora.ts';
import type { Storage } from './bench-model.ts';

export interface LossReport {
  readonly storage: Storage;
  /** Without an adapter. */
  readonly before: number;
  readonly after: number;
  /** Of `after` to that of the first storage. */
  readonly difference: number;
}

const asset = (path: string) => fileURLToPath(new URL(`../../assets/${path}`, import.meta.url));
const MAX_LENGTH = 64;
const HELD_OUT = 400;

export async function lossesByStorage(options: {
  readonly storages: readonly Storage[];
  readonly lossSteps: number;
}): Promise<LossReport[]> {
  const stored = await openCheckpoint(asset('seed-lm-7m'));
  const train = await examplesOf('train', stored);
  const heldOut = (await examplesOf('validation', stored)).slice(0, HELD_OUT);
  const reports: LossReport[] = [];
  for (const storage of options.storages) {
    const { before, after } = await lossesOf(
      await modelIn(storage, stored),
      train,
      heldOut,
      options.lossSteps,
    );
    reports.push({ storage, before, after, difference: after - (reports[0]?.after ?? after) });
  }
  return reports;
}

async function examplesOf(split: 'train' | 'validation', model: Model): Promise<readonly TokenizedExample[]> {
  const schema = {
    kind: 'prompt-completion',
    prompt: '{text}',
    completion: '{intent}',
    chat: true,
  };
  const examples = await loadDataset({ files: asset(`clinc150/${split}.csv`) }, schema, {}, '.');
  const order = shuffled(examples, rng('bench-memory', split));
  return tokenizeExamples(order, await loadTokenizer(model.folder), { maxLength: MAX_LENGTH }).tokenized;
}

/** The checkpoint holds bfloat16, so float32 is the same numbers. */
async function modelIn(storage: Storage, stored: Model): Promise<Model> {
  if (storage === 'int8' || storage === 'int4')
    return quantizedModel(stored, { kind: storage, blockSize: 32 });
  if (storage !== 'float32') return stored;
  const tensors = new Map<string, ReturnType<typeof tensor<'float32'>>>();
  for (const [name, { shape }] of stored.storedTypes)
    tensors.set(name, tensor('float32', shape, await readWeight(stored.weights, name)));
  const types = [...tensors].map(([name, { shape }]) => [name, { dtype: 'float32', shape }] as const);
  return {
    ...stored,
    storedTypes: new Map(types),
    weights: { locate: (name) => ({ kind: 'memory', tensor: tensors.get(name)! }) },
  };
}

async function lossesOf(
  model: Model,
  train: readonly TokenizedExample[],
  heldOut: readonly TokenizedExample[],
  steps: number,
): Promise<{ before: number; after: number }> {
  const settings = { rank: 16, alpha: 32, targetModules: 'all-linear' };
  const tuning = lora.bind(lora.options.parse(settings), model.definition);
  const params = await tuning.init(rng('bench-memory', 'init'), (name) => readWeight(model.weights, name));
  const executor = createNodeExecutor({ threads: availableParallelism() });
  const engine = createEngine({ model, tuning, executor });
  const before = await meanLoss(engine, params, heldOut);
  const trained = await engine.train(params, train, trainOptions(steps));
  const after = await meanLoss(engine, trained.params, heldOut);
  await executor.dispose();
  return { before, after };
}

async function meanLoss(
  engine: Engine,
  params: Parameters<Engine['score']>[0],
  examples: readonly TokenizedExample[],
): Promise<number> {
  const scores = await engine.score(params, examples, { batchSize: 16, maxLength: MAX_LENGTH });
  const [nll, targets] = scores.reduce(([a, b], s) => [a + s.nll, b + s.numTargets], [0, 0] as [
    number,
    number,
  ]);
  return nll / targets;
}

function trainOptions(steps: number): TrainOptions {
  return {
    optimizer: {
      ...{ kind: 'adamw', learningRate: 2e-3, beta1: 0.9, beta2: 0.999, epsilon: 1e-8 },
      ...{ weightDecay: 0, momentum: 0 },
    },
    schedule: { kind: 'linear', warmupSteps: 0, minFactor: 0 },
    ...{ steps, stepOffset: 0, totalSteps: steps, batchSize: 8, microBatchSize: 8 },
    ...{ maxLength: MAX_LENGTH, packing: false, seedPath: ['bench-memory'] },
  };
}
