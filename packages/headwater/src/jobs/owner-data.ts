/**
 * One owner's own files → its examples, as a client reads them: the recipe's schema over the owner's columns, and the split
 * that a simulation would give the owner. Nobody else's data are there.
 */

import { HeadwaterError } from '../base/errors.ts';
import { type DataFiles, loadDataset } from '../data/dataset-node.ts';
import type { Recipe } from '../recipe/schema.ts';
import { type HeldOutParts, taskChoices } from './held-out.ts';
import { type OwnerSources, ownerColumns, ownerParts } from './owner-parts.ts';
import { type PreparedRun, prepareParts } from './prepare.ts';
import { requireConsent } from './programs/consent.ts';
import { bindObjective, type RunRegistries } from './records.ts';
import type { PrepareContext } from './tokenize-parts.ts';

export interface OwnerData extends OwnerSources<DataFiles> {
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
  const columns = ownerColumns(data, own.mapping);
  const load = (files: DataFiles) => loadDataset(files, data.schema, columns, '.', registries.schemas);
  return ownerParts({ data, seed }, owner, own, load);
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
  if (recipe.simulation?.attack !== undefined)
    throw new HeadwaterError(
      'RECIPE_INVALID',
      `simulation.attack: ${recipe.simulation.attack.kind} is for \`headwater run\`; a deployment attacks nobody`,
      { hint: 'Leave `simulation` out, or give --set simulation={}.' },
    );
  if (recipe.federation.keepUpdates === true)
    throw new HeadwaterError(
      'RECIPE_INVALID',
      'federation.keepUpdates is for `headwater run`: a coordinator keeps an update only until its round is aggregated',
      { hint: 'Leave it out; federation.freeRiders looks at updates while they are there.' },
    );
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
  if (privacy?.clientLevel === undefined && privacy?.exampleLevel === undefined) return;
  const refuse = (message: string, hint: string) => {
    throw new HeadwaterError('RECIPE_INVALID', message, { hint });
  };
  const key = privacy.clientLevel === undefined ? 'privacy.exampleLevel' : 'privacy.clientLevel';
  const { delta, noiseMultiplier } = privacy.clientLevel ?? privacy.exampleLevel ?? {};
  if (delta === undefined)
    refuse(
      `${key}: a deployment claims an (ε, δ), and no delta is given`,
      `Set ${key}.delta, less than one in the number of ${privacy.clientLevel === undefined ? 'an owner’s examples' : 'owners'}.`,
    );
  if (noiseMultiplier === 0)
    refuse(
      `${key}.noiseMultiplier is 0: clipping alone promises nothing`,
      'Set it above 0, or leave `privacy` out.',
    );
  const heldOut =
    data.validation !== undefined ||
    data.test !== undefined ||
    data.validationFraction > 0 ||
    data.testFraction > 0;
  if (heldOut)
    refuse(
      `${key}: scores of owners on their own held-out examples would be told without noise`,
      'Leave data.validation, validationFraction, test and testFraction out, and score the result with `headwater eval` on data of your own.',
    );
}
