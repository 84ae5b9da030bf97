/** What the audits of models look at: a recipe or a run, its prepared data, its model with the params to begin from, an engine. */

import { existsSync, statSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { HeadwaterError } from '../../base/errors.ts';
import type { Params } from '../../base/tensor.ts';
import { freshParams } from '../../jobs/fresh-params.ts';
import { registriesWith } from '../../jobs/plugins-node.ts';
import { type PreparedRun, prepareRun } from '../../jobs/prepare.ts';
import { bindObjective, bindRecipeMethod, bindTuning, type RunRegistries } from '../../jobs/records.ts';
import { readWeight } from '../../models/checkpoint-node.ts';
import { textEncoder } from '../../models/tokenizer-node.ts';
import { loadRecipe, pluginsNamedBy } from '../../recipe/load-node.ts';
import { runPaths } from '../../runs/run-folder.ts';
import type { Executor } from '../../runtime/executor.ts';
import { createNodeExecutor } from '../../runtime/onnx-node.ts';
import { readAdapterFolder } from '../../training/adapter-folder-node.ts';
import type { Engine } from '../../training/engine.ts';
import { createEngine } from '../../training/engine-core.ts';
import type { BoundTuning } from '../../tuning/kind.ts';
import { findRecipe } from '../find-recipe.ts';
import { createDisplay } from '../progress.ts';

export interface SubjectOptions {
  readonly set: readonly string[];
  readonly adapter?: string;
}

export interface AuditSubject {
  readonly prepared: PreparedRun;
  readonly registries: RunRegistries;
  readonly tuning: BoundTuning;
  readonly executor: Executor;
  readonly engine: Engine;
  /** What a run of the recipe begins from. */
  readonly fresh: Params;
  /** Of the adapter, where one is given or the run has a result. */
  readonly trained: Params | undefined;
  close(): Promise<void>;
}

/** Throws what reading recipes, models, data and adapters throws. */
export async function openSubject(given: string, { set, adapter }: SubjectOptions): Promise<AuditSubject> {
  const isRun = existsSync(given) && statSync(given).isDirectory();
  const file = isRun ? runPaths(given).recipe : findRecipe(given);
  if (!existsSync(file))
    throw new HeadwaterError('RUN_NOT_FOUND', 'there is no run in this folder', { where: given });
  const registries = await registriesWith(await pluginsNamedBy(file, set));
  const recipe = await loadRecipe(file, { registries, overrides: set });
  const display = createDisplay({ stream: process.stderr, nowMs: () => performance.now() });
  const prepared = await prepareRun(recipe, registries, { onProgress: display.onProgress }).finally(
    display.stop,
  );
  const { model } = prepared;
  const tuning = bindTuning(recipe, model.definition, registries);
  const executor = createNodeExecutor({ device: recipe.device, threads: availableParallelism() });
  const objective = bindObjective(recipe, registries);
  const engine = createEngine({ model, tuning, executor, objective });
  const fresh = await freshParams({
    ...{ seed: recipe.seed, tuning, method: bindRecipeMethod(recipe, registries) },
    baseValue: (name) => readWeight(model.weights, name),
    encode: textEncoder(model.folder),
    publicExamples: [],
  });
  const folder =
    adapter ?? (isRun && existsSync(runPaths(given).adapter) ? runPaths(given).adapter : undefined);
  const trained =
    folder === undefined
      ? undefined
      : (await readAdapterFolder(folder, model.definition, registries.tuningKinds)).params;
  return { prepared, registries, tuning, executor, engine, fresh, trained, close: () => executor.dispose() };
}
