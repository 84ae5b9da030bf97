/**
 * The training engine of a tab, put together: the browser's best backend, a base model whose files are in the store, a tuning.
 * The same `Engine` as Node's, for a worker: while it trains, this thread is busy for a step at a time.
 */

import { HeadwaterError } from '@headwater/base/errors.ts';
import type { BlockFormat } from '@headwater/graph/ops/index.ts';
import type { Model, ModelDefinition } from '@headwater/models/model.ts';
import type { Executor } from '@headwater/runtime/executor.ts';
import type { Engine } from '@headwater/training/engine.ts';
import { createEngine } from '@headwater/training/engine-core.ts';
import type { BoundTuning } from '@headwater/tuning/kind.ts';
import {
  type BackendChoice,
  type BackendWish,
  chooseBackend,
  defaultWeights,
  type WeightFormat,
} from '../backend.ts';
import type { BlobStore } from './blob-store.ts';
import { createWebExecutor, type WebExecutorOptions } from './executor.ts';
import { browserFacts } from './facts.ts';
import { type OnRounded, quantizedInTab } from './quantized-model.ts';
import { openStoredModel, readStoredWeight, type StoredModelOptions } from './stored-model.ts';
import { convertingOpener, weightsAs } from './weight-format.ts';

export interface TabEngineOptions
  extends Pick<WebExecutorOptions, 'maxWeightBytes' | 'kernels' | 'prepack' | 'noFallback'> {
  readonly store: BlobStore;
  /** Its files must be in the store. */
  readonly model: StoredModelOptions;
  readonly bindTuning: (definition: ModelDefinition) => BoundTuning;
  readonly wish?: BackendWish;
  /** The recipe's quantization, as a block format; omitted: none. */
  readonly quantized?: BlockFormat | undefined;
  readonly onRounded?: OnRounded;
  /** Default: stored, on WebGPU float32. */
  readonly weights?: WeightFormat;
  readonly recompute?: boolean;
  /** Stands between engine and executor, to measure. */
  readonly watch?: (executor: Executor) => Executor;
}

export interface TabEngine {
  readonly choice: BackendChoice;
  /** As the checkpoint and the quantization have it: its digest is the run's. */
  readonly model: Model;
  readonly tuning: BoundTuning;
  readonly engine: Engine;
  readonly executor: Executor;
  /** A weight of the checkpoint as float32, for fresh params. */
  readonly baseValue: (name: string) => Promise<Float32Array>;
}

/**
 * Throws DEVICE_UNAVAILABLE (a wished backend that is not there, ONNX Runtime does not load) and what opening a model throws.
 */
export async function openTabEngine(options: TabEngineOptions): Promise<TabEngine> {
  const { store, quantized, onRounded, recompute = false, watch = (executor) => executor, ...rest } = options;
  const choice = chooseBackend(await browserFacts(), options.wish);
  if (!('backend' in choice))
    throw new HeadwaterError('DEVICE_UNAVAILABLE', choice.why, {
      hint: 'Leave the backend to Headwater, or use another browser.',
    });
  const stored = await openStoredModel(store, options.model);
  const model = quantized === undefined ? stored : await quantizedInTab(store, stored, quantized, onRounded);
  const tuning = options.bindTuning(model.definition);
  const open = convertingOpener((path) => store.open(path));
  const executor = watch(await createWebExecutor({ ...rest, choice, openFile: open }));
  const held = weightsAs(model, options.weights ?? defaultWeights(choice.backend));
  return {
    ...{ choice, model, tuning, executor },
    engine: createEngine({ model: held, tuning, executor, recompute }),
    baseValue: (name) => readStoredWeight(store, stored, name),
  };
}
