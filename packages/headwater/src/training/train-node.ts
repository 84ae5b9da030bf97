/**
 * Fine-tuning without a federation, as one library call: a model, a data set and a tuning kind in, an adapter out. It runs
 * in the calling thread, which it blocks during each step; programs that must stay responsive call it in a worker.
 */

import { availableParallelism } from 'node:os';
import { rng } from '../base/random.ts';
import type { Params } from '../base/tensor.ts';
import { type DataFiles, loadDataset } from '../data/dataset-node.ts';
import type { SchemaChoice } from '../data/schema-choice.ts';
import { tokenizeExamples } from '../data/tokenize.ts';
import { classesOf } from '../data/tokenize-class.ts';
import { openModel, readWeight } from '../models/checkpoint-node.ts';
import type { Model } from '../models/model.ts';
import { checkVocabulary } from '../models/tokenizer.ts';
import { loadTokenizer } from '../models/tokenizer-node.ts';
import type { Device } from '../runtime/executor.ts';
import { openExecutorFor } from '../runtime/replicas-node.ts';
import type { BoundTuning } from '../tuning/kind.ts';
import { writeAdapterFolder } from './adapter-folder-node.ts';
import { chosenTuning, type TuningChoice } from './chosen-tuning.ts';
import type { OptimizerOptions, ScheduleOptions, StepReport, TrainResult } from './engine.ts';
import { createEngine } from './engine-core.ts';
import { writeModelFolder } from './model-folder-node.ts';

export interface TrainModelOptions extends TuningChoice {
  /** Folder or hub id `owner/name[@revision]`. */
  readonly model: string;
  /** Files relative to the working folder, and how a row becomes an example. */
  readonly data: DataFiles & { readonly schema: SchemaChoice };
  /** Encoders: the classes. Default: those of the model's head, or else those of the data. */
  readonly labels?: readonly string[];
  /** Optimizer steps. */
  readonly steps: number;
  readonly batchSize?: number;
  /** Rows of one pass; the passes of a step go on side by side, as far as there are threads. Default: batchSize. */
  readonly microBatchSize?: number;
  readonly maxLength?: number;
  readonly packing?: boolean;
  readonly optimizer?: Partial<OptimizerOptions>;
  readonly schedule?: Partial<ScheduleOptions>;
  readonly maxGradNorm?: number;
  readonly seed?: number;
  readonly device?: Device;
  readonly threads?: number;
  /** Folder to write, an adapter's or a whole model's as the kind has it; omitted: nothing is written. */
  readonly out?: string;
  readonly onStep?: (report: StepReport) => void;
}

/** Throws what opening models and data throws, OPTION_INVALID, TRAINING_DIVERGED and STORAGE_FAILED. */
export async function train(options: TrainModelOptions): Promise<TrainResult> {
  const { data, steps, seed = 0, maxLength = 512, batchSize = 8, device = 'cpu' } = options;
  const examples = await loadDataset(data, data.schema, {}, '.');
  const labels = options.labels ?? (async () => classesOf(examples));
  const model = await openModel(options.model, { labels });
  const { shape, classifier } = model.definition;
  const codec = { ...(await loadTokenizer(model.folder)), labels: classifier?.labels };
  checkVocabulary(codec.tokenizer, shape.vocabSize, model.folder);
  const { tokenized } = tokenizeExamples(examples, codec, { maxLength });
  const tuning = chosenTuning(options, model.definition);
  const params: Params = await tuning.init(
    rng(seed, 'init'),
    (name) => readWeight(model.weights, name),
    async (text) => codec.tokenizer.encode(text),
  );
  const { microBatchSize = batchSize, threads = availableParallelism() } = options;
  const executor = openExecutorFor(Math.ceil(batchSize / microBatchSize), { device, threads });
  try {
    const engine = createEngine({ model, tuning, executor });
    const schedule: ScheduleOptions = { kind: 'constant', warmupSteps: 0, minFactor: 0, ...options.schedule };
    const amounts = {
      steps,
      stepOffset: 0,
      totalSteps: steps,
      batchSize,
      microBatchSize,
      maxLength,
    };
    const clip = options.maxGradNorm === undefined ? {} : { maxGradNorm: options.maxGradNorm };
    const rest = { packing: options.packing ?? false, seedPath: [seed, 'train'], ...clip };
    const choice = { optimizer: { ...ADAMW, ...options.optimizer }, schedule, ...amounts, ...rest };
    const result = await engine.train(params, tokenized, choice, options.onStep);
    if (options.out !== undefined) await write(options.out, model, tuning, result.params, options.model);
    return result;
  } finally {
    await executor.dispose();
  }
}

async function write(folder: string, model: Model, tuning: BoundTuning, params: Params, base: string) {
  const isWhole = tuning.adapterConfig() === undefined;
  await (isWhole
    ? writeModelFolder(folder, model, params)
    : writeAdapterFolder(folder, tuning, params, base));
}

const ADAMW: OptimizerOptions = {
  kind: 'adamw',
  learningRate: 2e-4,
  beta1: 0.9,
  beta2: 0.999,
  epsilon: 1e-8,
  weightDecay: 0,
  momentum: 0,
};
