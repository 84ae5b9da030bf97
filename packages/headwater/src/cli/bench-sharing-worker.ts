/** A worker of `bench sharing`: trains a few steps each time it is asked, on the checkpoint that all workers map. */

import { parentPort, workerData } from 'node:worker_threads';
import { rng } from '../base/random.ts';
import { openCheckpoint, readWeight } from '../models/checkpoint-node.ts';
import { openQuantized } from '../models/quantized-node.ts';
import { createNodeExecutor } from '../runtime/onnx-node.ts';
import { benchTraining } from '../training/bench.ts';
import { createEngine } from '../training/engine-core.ts';
import { lora } from '../tuning/lora.ts';

export interface SharingWork {
  readonly folder: string;
  readonly quantizedFolder: string | undefined;
  readonly batch: number;
  readonly seq: number;
  readonly rank: number;
  readonly targets: readonly string[];
}

const work = workerData as SharingWork;
const stored = await openCheckpoint(work.folder, { checkFinite: false });
const { quantizedFolder } = work;
const model = quantizedFolder === undefined ? stored : await openQuantized(stored, quantizedFolder);
const tuning = lora.bind(
  lora.options.parse({ rank: work.rank, alpha: 2 * work.rank, targetModules: work.targets }),
  model.definition,
);
const params = await tuning.init(rng('bench'), (name) => readWeight(model.weights, name));
const engine = createEngine({ model, tuning, executor: createNodeExecutor({ threads: 1 }) });

parentPort?.on('message', async () => {
  const { loss } = await benchTraining(engine, params, {
    batchSize: work.batch,
    microBatchSize: work.batch,
    length: work.seq,
    steps: 2,
    vocabSize: model.definition.shape.vocabSize,
    seed: 0,
    nowMs: () => performance.now(),
  });
  parentPort?.postMessage(loss);
});
