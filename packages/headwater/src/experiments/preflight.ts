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

/** Throws RECIPE_INVALID with one line for each arm that cannot run; what stops all arms alike is thrown as it is. */
export async function preflight(
  cells: readonly Cell[],
  registries: RunRegistries,
  options: Options = {},
): Promise<Estimates> {
  const estimates = new Map<string, Estimate>();
  const refused: { readonly arm: string; readonly error: HeadwaterError }[] = [];
  const prepared = new Map<string, Promise<PreparedRun>>();
  const arms = firstCells(cells);
  for (const { arm, recipe } of arms) {
    try {
      refuseBuffered(recipe);
      const key = preparationKey(recipe);
      if (!prepared.has(key)) prepared.set(key, prepareRun(recipe, registries, options));
      const ready = await prepared.get(key)!;
      estimates.set(arm, estimateArm({ ...ready, recipe: withLabels(recipe, ready) }, registries));
    } catch (error) {
      if (options.signal?.aborted === true) throw stoppedEarly(error);
      if (!(error instanceof HeadwaterError)) throw error;
      refused.push({ arm, error });
    }
  }
  if (options.signal?.aborted === true) throw stoppedEarly();
  if (refused.length > 0) throw refusal(refused, arms.length);
  return estimates;
}

function refusal(
  refused: readonly { readonly arm: string; readonly error: HeadwaterError }[],
  arms: number,
): HeadwaterError {
  const [{ error: first }] = refused as [(typeof refused)[number]];
  if (refused.length === arms && refused.every(({ error }) => error.message === first.message)) return first;
  const who = refused.length === 1 ? 'an arm' : `${refused.length} arms`;
  const lines = refused.map(
    ({ arm, error: { where, message } }) => `  ${arm}: ${where === undefined ? '' : `${where}: `}${message}`,
  );
  return new HeadwaterError('RECIPE_INVALID', `${who} cannot run; nothing was started\n${lines.join('\n')}`);
}

function stoppedEarly(cause?: unknown): HeadwaterError {
  return new HeadwaterError('INTERRUPTED', 'the experiment was stopped before it began', { cause });
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
