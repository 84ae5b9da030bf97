/** The resolved recipe as YAML, as it is kept in the run folder: loading it again gives the same recipe. */

import { stringify } from 'yaml';
import type { Recipe } from './schema.ts';

export function recipeToYaml(recipe: Recipe): string {
  return stringify(recipe, { lineWidth: 110, aliasDuplicateObjects: false });
}
