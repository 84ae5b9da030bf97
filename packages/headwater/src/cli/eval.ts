/** `headwater eval`: scores a model, with or without an adapter, on the held-out data of a recipe or of a run. */

import { existsSync, statSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { Command, Option } from 'commander';
import { HeadwaterError } from '../base/errors.ts';
import { type SetAnswers, summarise } from '../jobs/evaluation-figures.ts';
import type { EvaluationSet } from '../jobs/evaluation-set.ts';
import { registriesWith } from '../jobs/plugins-node.ts';
import { type PreparedRun, prepareRun } from '../jobs/prepare.ts';
import type { RunRegistries } from '../jobs/records.ts';
import { answerHere } from '../jobs/scoring.ts';
import { loadTokenizer } from '../models/tokenizer-node.ts';
import { loadRecipe, pluginsNamedBy } from '../recipe/load-node.ts';
import type { Recipe } from '../recipe/schema.ts';
import { runPaths } from '../runs/run-folder.ts';
import type { Device } from '../runtime/executor.ts';
import { createNodeExecutor } from '../runtime/onnx-node.ts';
import { createEngine } from '../training/engine-core.ts';
import { tuningOf } from '../tuning/combined.ts';
import { writeSamples } from './evaluation-samples.ts';
import { findRecipe } from './find-recipe.ts';
import { codeExecutionOption, collect, deviceOption, jsonOption } from './options.ts';
import { createDisplay } from './progress.ts';
import { type Evaluated, printEvaluation } from './show-evaluation.ts';
import { readWeightedAdapters, weightedAdapterOption } from './weighted-adapters.ts';

interface EvalOptions {
  readonly adapter?: readonly string[];
  readonly split: 'test' | 'validation';
  readonly full?: true;
  readonly set: readonly string[];
  readonly plugin: readonly string[];
  readonly device?: Device;
  readonly allowCodeExecution?: true;
  readonly samples?: string;
  readonly json?: true;
}

export function evalCommand(): Command {
  return new Command('eval')
    .description('score a model on the held-out data of a recipe, or the result of a run on its own')
    .argument('<recipe-or-run>', 'recipe (base model, unless --adapter is given) or run folder (its adapter)')
    .addOption(weightedAdapterOption('PEFT adapter to score; may be given several times, with weights'))
    .addOption(new Option('--split <split>', 'which rows').choices(['test', 'validation']).default('test'))
    .option('--full', 'all rows instead of a sample')
    .option('--set <path=value>', 'override a key of the recipe; may be repeated', collect, [])
    .option('--plugin <file>', 'module with tasks, tuning kinds …; may be repeated', collect, [])
    .option('--samples <file>', 'write prompts, texts and verdicts of each example as JSON lines')
    .addOption(codeExecutionOption())
    .addOption(deviceOption())
    .addOption(jsonOption())
    .action(evaluate);
}

interface Subject {
  readonly recipeFile: string;
  /** `FOLDER[=weight]`. */
  readonly adapters: readonly string[];
  /** For runs that trained a whole model. */
  readonly model: string | undefined;
}

async function evaluate(given: string, options: EvalOptions): Promise<void> {
  const subject = findSubject(given, options.adapter ?? []);
  const { recipe, registries } = await readRecipe(subject, options);
  const display = createDisplay({ stream: process.stderr, nowMs: () => performance.now() });
  const { allowCodeExecution = false, split, samples } = options;
  const prepared = await prepareRun(recipe, registries, {
    onProgress: display.onProgress,
    allowCodeExecution,
  }).finally(display.stop);
  const set = heldOutSet(prepared, split);
  if (set.compared) refuseWholeModel(subject);
  const adapted = await answersOf(prepared, registries, subject.adapters, set);
  const showsBase = prepared.facts.metrics.some((m) => m.comparedWithBase);
  const needsBase = subject.adapters.length > 0 && (showsBase || set.compared);
  const alone = needsBase ? await answersOf(prepared, registries, [], set) : undefined;
  const own = alone !== undefined && set.compared ? comparedWith(alone, adapted) : adapted;
  const base = alone !== undefined && showsBase ? summarise(set, alone) : undefined;
  if (samples !== undefined) await writeSamples(samples, set, own);
  const { facts } = prepared;
  const evaluated: Evaluated = {
    ...{ model: recipe.model, adapter: subject.adapters.join(', ') || null, split, seed: recipe.seed },
    ...{ tasks: facts.tasks ?? [], ...summarise(set, own), chance: facts.chance },
    ...(base === undefined ? {} : { base: base.pooled }),
  };
  if (options.json) console.log(JSON.stringify(evaluated, null, 2));
  else printEvaluation(evaluated, facts, recipe.evaluation.confidence);
}

function findSubject(given: string, adapters: readonly string[]): Subject {
  const isFolder = existsSync(given) && statSync(given).isDirectory();
  if (!isFolder) return { recipeFile: findRecipe(given), adapters, model: undefined };
  const paths = runPaths(given);
  if (!existsSync(paths.recipe))
    throw new HeadwaterError('RUN_NOT_FOUND', 'there is no run in this folder', {
      where: given,
      hint: 'Give a recipe, or the folder that `headwater run` wrote.',
    });
  const model = existsSync(paths.model) ? paths.model : undefined;
  if (model !== undefined || adapters.length > 0) return { recipeFile: paths.recipe, adapters, model };
  if (existsSync(paths.adapter)) return { recipeFile: paths.recipe, adapters: [paths.adapter], model };
  throw new HeadwaterError('RUN_NOT_FOUND', 'the run has no result yet', {
    where: given,
    hint: 'Continue it with headwater run … --resume.',
  });
}

async function readRecipe(
  { recipeFile, model }: Subject,
  { set, plugin, device, full }: EvalOptions,
): Promise<{ readonly recipe: Recipe; readonly registries: RunRegistries }> {
  const overrides = [
    ...set,
    ...(device === undefined ? [] : [`device=${device}`]),
    ...(full === undefined ? [] : ['evaluation.full=true']),
    ...(model === undefined ? [] : [`model=${JSON.stringify(model)}`]),
  ];
  const registries = await registriesWith([...(await pluginsNamedBy(recipeFile, overrides)), ...plugin]);
  return { recipe: await loadRecipe(recipeFile, { registries, overrides }), registries };
}

/** Scores with those of the model without adapters beside them. */
function comparedWith(base: SetAnswers, own: SetAnswers): SetAnswers {
  return {
    ...own,
    scores: own.scores.map((score, i) => ({ ...score, referenceNll: base.scores[i]!.nll })),
  };
}

function refuseWholeModel({ model }: Subject): void {
  if (model === undefined) return;
  throw new HeadwaterError(
    'OPTION_INVALID',
    'a task compares with the model that training started from, which a run of a whole model does not keep',
    {
      where: model,
      hint: 'Its results.json has the figures; or name other tasks: --set "evaluation.tasks=[{kind: preference}]".',
    },
  );
}

function heldOutSet({ heldOut }: PreparedRun, split: 'test' | 'validation'): EvaluationSet {
  const set = heldOut[split];
  if (set !== undefined) return set;
  throw new HeadwaterError('DATA_INVALID', `the recipe has no ${split} data`, {
    hint: `Give data.${split}, or data.${split}Fraction.`,
  });
}

async function answersOf(
  { model, recipe }: PreparedRun,
  registries: RunRegistries,
  adapters: readonly string[],
  set: EvaluationSet,
): Promise<SetAnswers> {
  const { tuning, params } = tuningOf(await readWeightedAdapters(adapters, model, registries.tuningKinds));
  const executor = createNodeExecutor({ device: recipe.device, threads: availableParallelism() });
  const engine = createEngine({ model, tuning, executor });
  const { tokenizer } = await loadTokenizer(model.folder);
  try {
    return await answerHere({ engine, tokenizer, params }, set, recipe);
  } finally {
    await executor.dispose();
  }
}
