/**
 * What can be known of every arm before anything starts: whether method, tuning and data go together, and what a client will
 * need. It opens the model and reads the data once for all arms that share them; it trains nothing.
 */

import { digestJson } from '../base/canonical.ts';
import { HeadwaterError } from '../base/errors.ts';
import { type PreparedRun, prepareRun } from '../jobs/prepare.ts';
import type { OnProgress } from '../jobs/progress.ts';
import { bindTuning, type RunRegistries } from '../jobs/records.ts';
import type { Recipe } from '../recipe/schema.ts';
import { type Estimate, estimateRun } from '../runs/estimate.ts';
import { amountsOf, estimateParts } from '../runs/estimate-input.ts';
import { planOf } from '../simulation/begin.ts';
import { refuseBuffered } from '../simulation/run.ts';
import type { Cell } from './load.ts';

/** Estimates by arm. */
export type Estimates = ReadonlyMap<string, Estimate>;

interface Options {
  readonly onProgress?: OnProgress;
  readonly signal?: AbortSignal;
}

/** Throws RECIPE_INVALID with one line for each arm that cannot run; what models and data throw. */
export async function preflight(
  cells: readonly Cell[],
  registries: RunRegistries,
  options: Options = {},
): Promise<Estimates> {
  const estimates = new Map<string, Estimate>();
  const mistakes: string[] = [];
  const prepared = new Map<string, PreparedRun>();
  for (const { arm, recipe } of firstCells(cells)) {
    try {
      refuseBuffered(recipe);
      const key = preparationKey(recipe);
      const ready = prepared.get(key) ?? (await prepareRun(recipe, registries, options));
      prepared.set(key, ready);
      estimates.set(arm, estimateArm({ ...ready, recipe: withLabels(recipe, ready) }, registries));
    } catch (error) {
      if (!(error instanceof HeadwaterError) || error.code !== 'RECIPE_INVALID') throw error;
      mistakes.push(`  ${arm}: ${error.message}`);
    }
  }
  if (mistakes.length === 0) return estimates;
  const arms = mistakes.length === 1 ? 'an arm' : `${mistakes.length} arms`;
  throw new HeadwaterError(
    'RECIPE_INVALID',
    `${arms} cannot run; nothing was started\n${mistakes.join('\n')}`,
  );
}

function firstCells(cells: readonly Cell[]): Cell[] {
  return cells.filter(({ arm }, i) => cells.findIndex((cell) => cell.arm === arm) === i);
}

/** Recipes that differ in other parts only have the same model, data and owners. */
function preparationKey({ model, labels, data, partition, seed, evaluation, quantization }: Recipe): string {
  const parts = { model, labels, data, partition, seed, evaluation, quantization };
  return digestJson(JSON.parse(JSON.stringify(parts)));
}

/** Preparation may have found the classes of a fresh head. */
function withLabels(recipe: Recipe, { recipe: { labels } }: PreparedRun): Recipe {
  return labels === undefined ? recipe : { ...recipe, labels };
}

function estimateArm(prepared: PreparedRun, registries: RunRegistries): Estimate {
  const { recipe, model, owners } = prepared;
  const { tensors } = bindTuning(recipe, model.definition, registries);
  planOf(prepared, registries, { tensors, params: '' });
  return estimateRun({ ...estimateParts(recipe, registries, model), ...amountsOf(owners) });
}
