/** What a caller gives as a recipe (a file, or an object) → a checked recipe with absolute paths, and its records. */

import { resolve } from 'node:path';
import { HeadwaterError } from '../base/errors.ts';
import { checkRecipe } from '../recipe/check.ts';
import { pathText } from '../recipe/issues.ts';
import { loadRecipe, pluginsIn, pluginsNamedBy, recipeFromText } from '../recipe/load-node.ts';
import { withAbsolutePaths } from '../recipe/paths-node.ts';
import type { Recipe, RecipeInput } from '../recipe/schema.ts';
import { registriesWith } from './plugins-node.ts';
import type { RunRegistries } from './records.ts';

export interface ResolvedRecipe {
  readonly recipe: Recipe;
  readonly registries: RunRegistries;
}

export interface ResolveOptions {
  readonly overrides?: readonly string[];
  readonly plugins?: readonly string[];
}

/** Paths in a file start at the file, paths in an object at the current folder. Throws RECIPE_*, PLUGIN_INVALID. */
export async function resolveRecipe(
  given: RecipeInput | string,
  { overrides = [], plugins = [] }: ResolveOptions = {},
): Promise<ResolvedRecipe> {
  const more = plugins.map((file) => resolve(file));
  const named =
    typeof given === 'string'
      ? await pluginsNamedBy(given, overrides)
      : (given.plugins ?? []).map((file) => resolve(file));
  const all = [...new Set([...named, ...more])];
  const registries = await registriesWith(all);
  const recipe =
    typeof given === 'string'
      ? await loadRecipe(given, { registries, overrides })
      : checkedObject(given, registries);
  return { recipe: { ...recipe, plugins: all }, registries };
}

/** As `resolveRecipe`; paths in the text start at the current folder. */
export async function resolveRecipeText(text: string): Promise<ResolvedRecipe> {
  const plugins = pluginsIn(text, process.cwd());
  const registries = await registriesWith(plugins);
  const recipe = withAbsolutePaths(recipeFromText(text, { registries }), process.cwd());
  return { recipe: { ...recipe, plugins }, registries };
}

function checkedObject(given: RecipeInput, registries: RunRegistries): Recipe {
  const { recipe, issues } = checkRecipe(given, registries);
  if (recipe !== undefined) return withAbsolutePaths(recipe, process.cwd());
  const lines = issues.map(({ path, message }) => `  ${pathText(path)}: ${message}`);
  const count = lines.length === 1 ? '1 mistake' : `${lines.length} mistakes`;
  throw new HeadwaterError('RECIPE_INVALID', `the recipe has ${count}\n${lines.join('\n')}`);
}
