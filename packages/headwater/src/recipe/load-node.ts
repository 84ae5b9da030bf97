/**
 * A recipe file → a checked recipe with absolute paths. All mistakes are reported together, each with file, line and
 * column or with the `--set` that made it. Knows files and YAML; what is right is decided by `check.ts`.
 */

import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { HeadwaterError } from '../base/errors.ts';
import { applyOverrides, parseOverride } from './overrides.ts';
import { withAbsolutePaths } from './paths-node.ts';
import type { Registries } from './registries.ts';
import type { Recipe } from './schema.ts';
import { checkRecipeText, mistakeText } from './text.ts';
import { readYaml } from './yaml.ts';

export interface LoadOptions {
  /** `--set` texts. */
  readonly overrides?: readonly string[];
  readonly registries: Registries;
  /** How the file is called in messages; default: the path as given. */
  readonly displayName?: string;
}

/** Throws RECIPE_NOT_FOUND, RECIPE_INVALID, OPTION_INVALID. */
export async function loadRecipe(file: string, options: LoadOptions): Promise<Recipe> {
  const source = await readRecipeSource(file);
  const recipe = recipeFromText(source, { ...options, displayName: options.displayName ?? file });
  return withAbsolutePaths(recipe, dirname(resolve(file)));
}

/** The plug-ins a recipe names, read before its records can be checked. Mistakes elsewhere are left for `loadRecipe`. */
export async function pluginsNamedBy(file: string, overrides: readonly string[] = []): Promise<string[]> {
  return pluginsIn(await readRecipeSource(file), dirname(resolve(file)), overrides);
}

/** `folder`: where relative paths of the text start. */
export function pluginsIn(text: string, folder: string, overrides: readonly string[] = []): string[] {
  const { document, mistakes } = readYaml(text);
  if (mistakes.length > 0) return [];
  applyOverrides(document, overrides.map(parseOverride));
  const raw = document.toJS() as { plugins?: unknown } | null;
  if (!Array.isArray(raw?.plugins)) return [];
  return raw.plugins.filter((name) => typeof name === 'string').map((name) => resolve(folder, name));
}

/** Text → recipe, paths untouched. */
export function recipeFromText(text: string, options: LoadOptions): Recipe {
  const file = options.displayName ?? 'recipe';
  const { recipe, mistakes } = checkRecipeText(text, options);
  if (recipe !== undefined) return recipe;
  throw mistakesIn(file, [...new Set(mistakes.map((mistake) => mistakeText(file, mistake)))]);
}

/** RECIPE_INVALID with one line for each mistake. */
export function mistakesIn(file: string, mistakes: readonly string[]): HeadwaterError {
  const count = mistakes.length === 1 ? '1 mistake' : `${mistakes.length} mistakes`;
  return new HeadwaterError('RECIPE_INVALID', `${count}\n${mistakes.map((line) => `  ${line}`).join('\n')}`, {
    where: file,
    hint: 'Every key is explained in docs/recipe.md.',
  });
}

/** Throws RECIPE_NOT_FOUND. */
export async function readRecipeSource(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (cause) {
    throw new HeadwaterError('RECIPE_NOT_FOUND', `cannot read the recipe: ${(cause as Error).message}`, {
      where: file,
      hint: 'Give the path of a YAML file; `headwater run` without arguments lists the recipes that come with Headwater.',
      cause,
    });
  }
}
