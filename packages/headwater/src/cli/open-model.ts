/** A model as the commands want it: folder or hub id, with or without an adapter, ready to compute in this thread. */

import { availableParallelism } from 'node:os';
import type { Params } from '../base/tensor.ts';
import { type GivenLabels, openModel as openCheckpointOrHub } from '../models/checkpoint-node.ts';
import type { Model } from '../models/model.ts';
import { checkVocabulary } from '../models/tokenizer.ts';
import type { LoadedTokenizer } from '../models/tokenizer-folder.ts';
import { loadTokenizer } from '../models/tokenizer-node.ts';
import type { Device } from '../runtime/executor.ts';
import { createNodeExecutor } from '../runtime/onnx-node.ts';
import type { Engine } from '../training/engine.ts';
import { createEngine } from '../training/engine-core.ts';
import { tuningOf } from '../tuning/combined.ts';
import { downloadProgress } from './download-progress.ts';
import { readWeightedAdapters } from './weighted-adapters.ts';

export interface OpenModelOptions {
  readonly model: string;
  /** `FOLDER[=weight]` of PEFT folders; none: the model alone. */
  readonly adapters?: readonly string[] | undefined;
  readonly device: Device;
  /** Classes of an encoder without head of its own. */
  readonly labels?: readonly string[] | undefined;
  /** A repacked copy of the weights in memory, for speed. Default true. */
  readonly prepack?: boolean;
}

export interface OpenedModel extends LoadedTokenizer {
  readonly model: Model;
  readonly engine: Engine;
  readonly params: Params;
  close(): Promise<void>;
}

export async function openModel({
  model: source,
  adapters = [],
  device,
  labels,
  prepack = true,
}: OpenModelOptions): Promise<OpenedModel> {
  const model = await openBase(source, labels);
  const text = await loadTokenizer(model.folder);
  checkVocabulary(text.tokenizer, model.definition.shape.vocabSize, model.folder);
  const { tuning, params } = tuningOf(await readWeightedAdapters(adapters, model));
  const executor = createNodeExecutor({
    device,
    threads: availableParallelism(),
    spinning: true,
    prepack,
  });
  const engine = createEngine({ model, tuning, executor });
  return { ...text, model, engine, params, close: () => executor.dispose() };
}

/** Folder or hub id; downloads show their progress. `labels`: the classes of an encoder without head of its own. */
export async function openBase(source: string, labels?: GivenLabels): Promise<Model> {
  const progress = downloadProgress();
  return openCheckpointOrHub(source, { onProgress: progress.show, labels }).finally(progress.end);
}
