/** From what a user types to a recipe file: a path, or the name of a recipe that comes with Headwater. */

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import { HeadwaterError } from '../base/errors.ts';
import { nearest } from '../base/suggest.ts';

const shippedFolder = fileURLToPath(new URL('../../recipes', import.meta.url));

export interface ShippedRecipe {
  readonly name: string;
  readonly file: string;
  readonly description: string;
}

export function shippedRecipes(): ShippedRecipe[] {
  return readdirSync(shippedFolder)
    .filter((file) => file.endsWith('.yaml'))
    .sort()
    .map((name) => {
      const file = join(shippedFolder, name);
      const { description = '' } = parse(readFileSync(file, 'utf8')) as { description?: string };
      return { name: name.slice(0, -'.yaml'.length), file, description };
    });
}

/**
 * A file that exists is taken as it is. `quickstart`, `quickstart.yaml` and `recipes/quickstart.yaml` otherwise mean the
 * shipped one, so that the same command works in a checkout and where Headwater is installed. Throws RECIPE_NOT_FOUND.
 */
export function findRecipe(given: string): string {
  if (existsSync(given)) return given;
  const [, name] = /^(?:recipes\/)?([a-z0-9-]+)(?:\.ya?ml)?$/.exec(given) ?? [];
  const shipped = shippedRecipes();
  const found = shipped.find((recipe) => recipe.name === name);
  if (found !== undefined) return found.file;
  const names = shipped.map((recipe) => recipe.name);
  const guess = nearest(name ?? given, names);
  throw new HeadwaterError('RECIPE_NOT_FOUND', 'there is no such file', {
    where: given,
    hint: `${guess === undefined ? '' : `Did you mean "${guess}"? `}With Headwater come the recipes ${names.join(', ')}.`,
  });
}
