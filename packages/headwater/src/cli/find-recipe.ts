/** From what a user types to a file: a path, or the name of a recipe or an experiment that comes with Headwater. */

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import { HeadwaterError } from '../base/errors.ts';
import { nearest } from '../base/suggest.ts';

const recipesFolder = fileURLToPath(new URL('../../recipes', import.meta.url));
const experimentsFolder = join(recipesFolder, 'experiments');

interface ShippedFile {
  readonly name: string;
  readonly file: string;
  readonly description: string;
}

export function shippedRecipes(): ShippedFile[] {
  return filesIn(recipesFolder);
}

export function shippedExperiments(): ShippedFile[] {
  return filesIn(experimentsFolder);
}

function filesIn(folder: string): ShippedFile[] {
  return readdirSync(folder)
    .filter((file) => file.endsWith('.yaml'))
    .sort()
    .map((name) => {
      const file = join(folder, name);
      const { description = '' } = parse(readFileSync(file, 'utf8')) as { description?: string };
      return { name: name.slice(0, -'.yaml'.length), file, description };
    });
}

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
