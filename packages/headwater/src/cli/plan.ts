/** `headwater plan`: what a recipe will take, before anything starts. Reads model and data, trains nothing (or a few steps). */

import { Command } from 'commander';
import { rng } from '../base/random.ts';
import { prepareRun } from '../jobs/prepare.ts';
import { bindObjective, bindTuning, type RunRegistries } from '../jobs/records.ts';
import { resolveRecipe } from '../jobs/resolve-recipe.ts';
import { openModel, readWeight } from '../models/checkpoint-node.ts';
import type { Model } from '../models/model.ts';
import { textEncoder } from '../models/tokenizer-node.ts';
import type { Recipe } from '../recipe/schema.ts';
import { type EstimateInput, estimateRun } from '../runs/estimate.ts';
import { amountsOf, estimateParts } from '../runs/estimate-input.ts';
import { openExecutor } from '../runtime/replicas-node.ts';
import { benchTraining, drawnFrom } from '../training/bench.ts';
import { createEngine } from '../training/engine-core.ts';
import { quantizedModel } from '../training/quantized-model-node.ts';
import { findRecipe } from './find-recipe.ts';
import { collect, jsonOption, nonNegative, wholeNumber } from './options.ts';
import { printEstimate } from './print-estimate.ts';
import { createDisplay } from './progress.ts';

interface PlanOptions {
  readonly owners?: number;
  readonly tokensPerSecond?: number;
  readonly measure?: true;
  readonly pricePerGb?: number;
  readonly pricePerHour?: number;
  readonly set: readonly string[];
  readonly plugin: readonly string[];
  readonly json?: true;
}

export function planCommand(): Command {
  return new Command('plan')
    .description('say what a recipe will take before anything starts: bytes, time, memory, disk, cost')
    .argument('<recipe>', 'YAML file, or the name of a recipe that comes with Headwater')
    .option(
      '--owners <n>',
      'so many owners, whose data are elsewhere; default: those in the data',
      wholeNumber,
    )
    .option('--tokens-per-second <n>', 'speed of one client in training', nonNegative)
    .option('--measure', 'take that speed from a few training steps on this machine')
    .option('--price-per-gb <n>', 'of transfer, in any currency', nonNegative)
    .option('--price-per-hour <n>', 'of one client’s machine', nonNegative)
    .option('--set <path=value>', 'override a key of the recipe; may be repeated', collect, [])
    .option('--plugin <file>', 'module with methods, compressions …; may be repeated', collect, [])
    .addOption(jsonOption())
    .action(plan);
}

async function plan(given: string, options: PlanOptions): Promise<void> {
  const { set, plugin: plugins } = options;
  const { recipe, registries } = await resolveRecipe(findRecipe(given), { overrides: set, plugins });
  const input = await inputOf(recipe, registries, options);
  const estimate = estimateRun(input);
  if (options.json) console.log(JSON.stringify(estimate, null, 2));
  else printEstimate(recipe, estimate, input.tokensPerSecond);
}

async function inputOf(
  recipe: Recipe,
  registries: RunRegistries,
  options: PlanOptions,
): Promise<EstimateInput> {
  const { model, ...data } = await modelAndData(recipe, registries, options.owners);
  const tokensPerSecond =
    options.measure === true
      ? await measuredSpeed(recipe, registries, model, data.tokensPerExample)
      : options.tokensPerSecond;
  return {
    ...estimateParts(recipe, registries, model),
    ...data,
    tokensPerSecond,
    prices: { perGb: options.pricePerGb, perHour: options.pricePerHour },
  };
}

/** With a given number of owners no data are read, and the longest examples that the recipe allows are assumed. */
async function modelAndData(recipe: Recipe, registries: RunRegistries, numOwners: number | undefined) {
  const display = createDisplay({ stream: process.stderr, nowMs: () => performance.now() });
  const { onProgress } = display;
  try {
    if (numOwners !== undefined) {
      const download = (progress: object) =>
        onProgress({ type: 'download', ...progress } as Parameters<typeof onProgress>[0]);
      const model = await openModel(recipe.model, { onProgress: download, labels: recipe.labels });
      const { sequencesPerExample } = bindObjective(recipe, registries);
      const tokensPerExample = sequencesPerExample * recipe.data.maxLength;
      return { model, numOwners, tokensPerExample, tokensAreAtMost: true };
    }
    const { model, owners } = await prepareRun(recipe, registries, { onProgress, allowCodeExecution: true });
    return { model, ...amountsOf(owners) };
  } finally {
    display.stop();
  }
}

const MEASURED_STEPS = 3;

/** Tokens per second of one session with the recipe's batches; the first step, which compiles, is not counted. */
async function measuredSpeed(
  recipe: Recipe,
  registries: RunRegistries,
  model: Model,
  tokensPerExample: number,
): Promise<number> {
  const { device, threadsPerSession: threads, frozenWeights, training } = recipe;
  const { sequencesPerExample } = bindObjective(recipe, registries);
  const executor = openExecutor(recipe.replicas, { device, threads, prepack: frozenWeights === 'packed' });
  const tuning = bindTuning(recipe, model.definition, registries);
  const params = await tuning.init(
    rng(recipe.seed, 'plan'),
    (name) => readWeight(model.weights, name),
    textEncoder(model.folder),
  );
  const quantized = await quantizedModel(model, recipe.quantization);
  const engine = createEngine({ model: quantized, tuning, executor, recompute: training.recompute });
  const { tokensPerSecond } = await benchTraining(engine, params, {
    batchSize: sequencesPerExample * training.batchSize,
    microBatchSize: sequencesPerExample * (training.microBatchSize ?? training.batchSize),
    length: Math.max(2, Math.round(tokensPerExample / sequencesPerExample)),
    steps: MEASURED_STEPS,
    ...drawnFrom(model),
    seed: recipe.seed,
    nowMs: () => performance.now(),
  });
  await executor.dispose();
  return tokensPerSecond;
}
