/** From what a user types to a file: a path, or the name of a recipe or an experiment that comes with Headwater. */

import { existsSync } from 'node:fs';
import { HeadwaterError } from '../base/errors.ts';
import { nearest } from '../base/suggest.ts';
import { type ShippedFile, shippedExperiments, shippedRecipes } from '../recipe/shipped-node.ts';

/**
 * A file that exists is taken as it is. `quickstart`, `quickstart.yaml` and `recipes/quickstart.yaml` otherwise mean the
 * shipped one, so that the same command works in a checkout and where Headwater is installed. Throws RECIPE_NOT_FOUND.
 */
export function findRecipe(given: string): string {
  return find(given, 'recipes', shippedRecipes());
}

/** As `findRecipe`. */
export function findExperiment(given: string): string {
  return find(given, 'experiments', shippedExperiments());
}

function find(given: string, what: string, shipped: readonly ShippedFile[]): string {
  if (existsSync(given)) return given;
  const [, name] = /^(?:(?:recipes|experiments)\/)*([a-z0-9-]+)(?:\.ya?ml)?$/.exec(given) ?? [];
  const found = shipped.find((item) => item.name === name);
  if (found !== undefined) return found.file;
  const names = shipped.map((item) => item.name);
  const guess = nearest(name ?? given, names);
  throw new HeadwaterError('RECIPE_NOT_FOUND', 'there is no such file', {
    where: given,
    hint: `${guess === undefined ? '' : `Did you mean "${guess}"? `}With Headwater come the ${what} ${names.join(', ')}.`,
  });
}
