/**
 * The worker thread: opens the model once, builds an engine and does jobs until it is stopped. What it needs arrives as
 * workerData; what a job means is in `job-runner.ts`.
 */

import { basename } from 'node:path';
import { parentPort, workerData } from 'node:worker_threads';
import { assert, HeadwaterError } from '../base/errors.ts';
import { rng } from '../base/random.ts';
import { sent } from '../base/sent-error.ts';
import { openCheckpoint, readWeight } from '../models/checkpoint-node.ts';
import type { Model } from '../models/model.ts';
import { openQuantized } from '../models/quantized-node.ts';
import { loadTokenizer, textEncoder } from '../models/tokenizer-node.ts';
import type { Recipe } from '../recipe/schema.ts';
import { openExecutor } from '../runtime/replicas-node.ts';
import { openBlobs } from '../storage/open-blobs.ts';
import { readAdapterFolder, writeAdapterFolder } from '../training/adapter-folder-node.ts';
import { createEngine } from '../training/engine-core.ts';
import { wholeParams, writeModelFolder } from '../training/model-folder-node.ts';
import type { BoundTuning } from '../tuning/kind.ts';
import type { HeldOut } from './answering.ts';
import type { TextFacts } from './client-round.ts';
import { freshParams } from './fresh-params.ts';
import { createJobRunner } from './job-runner.ts';
import type { JobRunner } from './jobs.ts';
import { registriesWith } from './plugins-node.ts';
import type { FromWorker, ToWorker } from './pool.ts';
import {
  bindObjective,
  bindRecipeAttack,
  bindRecipeCompression,
  bindRecipeMethod,
  bindTuning,
} from './records.ts';
import { createReferences } from './references.ts';
import { type SharedExamples, viewExamples } from './shared-examples.ts';

export interface SharedHeldOut extends Omit<HeldOut, 'pieces'> {
  readonly pieces: SharedExamples;
}

export interface WorkerInit {
  readonly recipe: Recipe;
  readonly modelFolder: string;
  /** Where its weights lie in fewer bits, for workers that compute with it. */
  readonly quantizedFolder?: string | undefined;
  /** Folder, or `s3://…`. */
  readonly blobs: string;
  readonly train: ReadonlyMap<string, SharedExamples>;
  readonly heldOut: Partial<Readonly<Record<'validation' | 'test', SharedHeldOut>>>;
  readonly publicExamples?: SharedExamples | undefined;
}

async function open(init: WorkerInit): Promise<JobRunner> {
  const { recipe } = init;
  const registries = await registriesWith(recipe.plugins);
  const stored = await openCheckpoint(init.modelFolder, {
    source: recipe.model,
    checkFinite: false,
    labels: recipe.labels,
  });
  const { quantizedFolder } = init;
  const model = quantizedFolder === undefined ? stored : await openQuantized(stored, quantizedFolder);
  const tuning = bindTuning(recipe, model.definition, registries);
  const method = bindRecipeMethod(recipe, registries);
  const objective = bindObjective(recipe, registries);
  const shared = init.publicExamples === undefined ? [] : viewExamples(init.publicExamples);
  const baseValue = (name: string) => readWeight(model.weights, name);
  const executor = openExecutor(recipe.replicas, {
    device: recipe.device,
    threads: recipe.threadsPerSession,
    prepack: recipe.frozenWeights === 'packed',
  });
  const engine = createEngine({ model, tuning, executor, recompute: recipe.training.recompute, objective });
  const encode = textEncoder(model.folder);
  const initialParams = async (seed: number, adapter: string | null) => {
    if (adapter === null)
      return freshParams({ seed, tuning, method, baseValue, encode, publicExamples: shared });
    const found = await readAdapterFolder(adapter, model.definition, registries.tuningKinds);
    checkSameTuning(found.tuning, tuning, adapter);
    return tuning.extend?.(found.params, rng(seed, 'init', 'extra')) ?? found.params;
  };
  const start = () => initialParams(recipe.seed, recipe.adapter ?? null);
  return createJobRunner({
    engine,
    references: createReferences({ engine, params: start }),
    tuning,
    method,
    compression: bindRecipeCompression(recipe, registries),
    attack: bindRecipeAttack(recipe, registries),
    text: textFacts(model),
    maxUpdateNorm: recipe.federation.maxUpdateNorm ?? null,
    blobs: await openBlobs(init.blobs),
    train: new Map([...init.train].map(([owner, shared]) => [owner, viewExamples(shared)])),
    heldOut: Object.fromEntries(
      Object.entries(init.heldOut).map(([split, { pieces, ...rest }]): [string, HeldOut] => [
        split,
        { pieces: viewExamples(pieces), ...rest },
      ]),
    ),
    publicExamples: shared,
    initialParams,
    tokenizer: async () => (await loadTokenizer(model.folder)).tokenizer,
    exportParams: (params, folder, card) =>
      tuning.adapterConfig() === undefined
        ? wholeParams(model, tuning, params).then((whole) => writeModelFolder(folder, model, whole, card))
        : writeAdapterFolder(folder, tuning, params, baseModelName(recipe.model), card),
  });
}

function textFacts({ folder, definition, eosTokenIds }: Model): TextFacts | undefined {
  if (definition.objective !== 'causal-lm') return undefined;
  const maxTokens = definition.shape.maxPositionEmbeddings;
  return { encode: textEncoder(folder), endTokens: eosTokenIds, maxTokens };
}

/** A hub id stays; of a local folder only the name means something to others. */
function baseModelName(model: string): string {
  return /^[A-Za-z0-9][\w.-]*\/[\w.-]+(@[\w./-]+)?$/.test(model) ? model : basename(model);
}

/** Starting from an adapter, the recipe must describe the same adapter: another alpha would change its meaning silently. */
function checkSameTuning(found: BoundTuning, trained: BoundTuning, where: string): void {
  if (trained.adapterConfig() === undefined)
    throw new HeadwaterError(
      'ADAPTER_INVALID',
      'the recipe’s method and tuning make a whole model, which does not go on from an adapter',
      { where, hint: 'Merge the adapter into its base (headwater merge) and give the new folder as model.' },
    );
  if (found.kind !== trained.kind)
    throw new HeadwaterError(
      'ADAPTER_INVALID',
      `the adapter is continued by kind "${found.kind}", the recipe trains "${trained.kind}"`,
      { where, hint: `Set tuning.kind to ${found.kind}, with the adapter’s own settings.` },
    );
  const [adapter, recipe] = [found.adapterConfig(), trained.adapterConfig()];
  const keys = [...new Set([...Object.keys(adapter ?? {}), ...Object.keys(recipe ?? {})])].sort();
  const text = (value: unknown) => JSON.stringify(value) ?? 'nothing';
  const different = keys.filter((key) => text(adapter?.[key]) !== text(recipe?.[key]));
  if (different.length === 0) return;
  const list = different.map((key) => `${key}: ${text(adapter?.[key])}, recipe: ${text(recipe?.[key])}`);
  throw new HeadwaterError(
    'ADAPTER_INVALID',
    `the adapter is not what the recipe trains (${list.join('; ')})`,
    {
      where,
      hint: 'Give the adapter’s own settings in the recipe’s tuning part.',
    },
  );
}

function serve(runner: Promise<JobRunner>): void {
  const port = parentPort;
  assert(port !== null, 'worker.ts runs in a worker thread');
  const reply = (message: FromWorker) => port.postMessage(message);
  // Errors of opening are reported with the first job, as that job's error.
  runner.catch(() => undefined);
  port.on('message', async (message: ToWorker) => {
    // This handler runs between native calls, never inside one.
    if (message.type === 'stop') process.exit(0);
    const { id, job } = message;
    try {
      const result = await (await runner).run(job, (report) => reply({ type: 'step', id, report }));
      reply({ type: 'done', id, result });
    } catch (error) {
      reply({ type: 'failed', id, error: sent(error, 'a job') });
    }
  });
}

serve(open(workerData as WorkerInit));
