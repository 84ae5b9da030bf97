/**
 * One owner's own files → its examples, as a client reads them: the recipe's schema over the owner's columns, and the split
 * that a simulation would give the owner. Nobody else's data are there.
 */

import { HeadwaterError } from '../base/errors.ts';
import { type DataFiles, loadDataset } from '../data/dataset-node.ts';
import { stratifiedSplit } from '../data/split.ts';
import type { Example } from '../data/types.ts';
import type { Recipe } from '../recipe/schema.ts';
import { type HeldOutParts, taskChoices } from './held-out.ts';
import { type PrepareContext, type PreparedRun, prepareParts } from './prepare.ts';
import { requireConsent } from './programs/consent.ts';
import { bindObjective, type RunRegistries } from './records.ts';

export interface OwnerData {
  readonly train: DataFiles;
  /** Held-out files; where one is missing, the recipe's fraction is split off. */
  readonly validation?: DataFiles | undefined;
  readonly test?: DataFiles | undefined;
  /** The recipe's column → the owner's, or a template over the owner's columns. */
  readonly mapping?: ReadonlyMap<string, string> | undefined;
}

/** Relative paths start at the current folder. Throws DATA_*, OPTION_INVALID. */
export async function loadOwnerParts(
  { data, seed }: Pick<Recipe, 'data' | 'seed'>,
  registries: Pick<RunRegistries, 'schemas'>,
  owner: string,
  own: OwnerData,
): Promise<HeldOutParts> {
  const { labelColumn, groupColumn, optionsColumn } = data;
  const columns = { labelColumn, groupColumn, optionsColumn, mapping: own.mapping };
  const load = async (files: DataFiles | undefined): Promise<Example[]> => {
    if (files === undefined) return [];
    const examples = await loadDataset(files, data.schema, columns, '.', registries.schemas);
    return examples.map((example) => ({ ...example, meta: { ...example.meta, owner } }));
  };
  const given = await load(own.train);
  const fractions = {
    validation: own.validation === undefined ? data.validationFraction : 0,
    test: own.test === undefined ? data.testFraction : 0,
  };
  const split = stratifiedSplit(given, fractions, seed);
  const at = (positions: readonly number[]) => positions.map((position) => given[position]!);
  return {
    train: at(split.train),
    validation: own.validation === undefined ? at(split.validation) : await load(own.validation),
    test: own.test === undefined ? at(split.test) : await load(own.test),
  };
}

/** Throws DATA_INVALID when nothing is left to learn, CODE_EXECUTION_REFUSED for tasks that run programs. */
export async function prepareOwner(
  context: PrepareContext,
  owner: string,
  parts: HeldOutParts,
): Promise<PreparedRun> {
  await requireConsent(taskChoices(context.recipe, context.registries), 'none');
  return prepareParts(context, parts, new Map([[owner, [...parts.train.keys()]]]));
}

/**
 * What owners do not do, or cannot: run programs, read files of the operator.
 * Throws CODE_EXECUTION_REFUSED, RECIPE_INVALID.
 */
export async function checkDeployable(
  recipe: Recipe,
  registries: Pick<RunRegistries, 'tasks' | 'objectives'>,
): Promise<void> {
  await requireConsent(taskChoices(recipe, registries), 'none');
  refuseUnknownReference(recipe, registries);
  checkPrivateDeployment(recipe);
  for (const key of ['shots', 'general'] as const)
    if (recipe.data[key] !== undefined)
      throw new HeadwaterError(
        'RECIPE_INVALID',
        `data.${key} names files of this machine, which the owners of a deployment cannot read`,
        { hint: 'Leave it and the tasks that need it out, and score the result with `headwater eval`.' },
      );
}

/** Owners make fresh params themselves, from the seed; those of an adapter they meet in the first round, if they are there. */
function refuseUnknownReference(
  recipe: Recipe,
  registries: Pick<RunRegistries, 'tasks' | 'objectives'>,
): void {
  if (recipe.adapter === undefined) return;
  const compares =
    bindObjective(recipe, registries).examples === 'pairs' ||
    taskChoices(recipe, registries).some(({ task }) => task.comparesWithReference === true);
  if (!compares) return;
  throw new HeadwaterError(
    'RECIPE_INVALID',
    'adapter: what owners learn is measured next to the model that the run starts from, and they do not have its adapter',
    { hint: 'Merge the adapter into its base (headwater merge) and give the new folder as model.' },
  );
}

/** What leaves owners beside their updates would leave without noise. Throws RECIPE_INVALID. */
function checkPrivateDeployment({ privacy, data }: Recipe): void {
  if (privacy === undefined) return;
  const refuse = (message: string, hint: string) => {
    throw new HeadwaterError('RECIPE_INVALID', message, { hint });
  };
  if (privacy.clientLevel.delta === undefined)
    refuse(
      'privacy.clientLevel: a deployment claims an (ε, δ), and no delta is given',
      'Set privacy.clientLevel.delta, less than one in the number of owners.',
    );
  if (!(privacy.clientLevel.noiseMultiplier > 0))
    refuse(
      'privacy.clientLevel.noiseMultiplier is 0: clipping alone promises nothing',
      'Set it above 0, or leave `privacy` out.',
    );
  const heldOut =
    data.validation !== undefined ||
    data.test !== undefined ||
    data.validationFraction > 0 ||
    data.testFraction > 0;
  if (heldOut)
    refuse(
      'privacy.clientLevel: scores of owners on their own held-out examples would be told without noise',
      'Leave data.validation, validationFraction, test and testFraction out, and score the result with `headwater eval` on data of your own.',
    );
}
