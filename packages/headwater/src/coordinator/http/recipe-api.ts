/** What the page for a new run needs: recipes to begin with, the schema behind its form, the mistakes of a text. */

import type { FastifyInstance } from 'fastify';
import { registriesWith } from '../../jobs/plugins-node.ts';
import { builtinRegistries } from '../../jobs/records.ts';
import { recipeJsonSchema } from '../../recipe/json-schema.ts';
import { pluginsIn } from '../../recipe/load-node.ts';
import { recipeShape } from '../../recipe/schema.ts';
import { shippedRecipes, shippedText } from '../../recipe/shipped-node.ts';
import { checkRecipeText } from '../../recipe/text.ts';
import { operatorRoutes } from './admin-routes.ts';
import { handle } from './handle.ts';

function startingTexts() {
  return shippedRecipes().map((shipped) => {
    const { name, description } = shipped;
    return { name, description, text: shippedText(shipped) };
  });
}

export function addRecipes(app: FastifyInstance): void {
  const { recipes, checkRecipe } = operatorRoutes;
  /** Made when first asked for; neither changes while the process runs. */
  let known: object | undefined;
  handle(app, recipes, () => {
    known ??= { recipes: startingTexts(), schema: recipeJsonSchema(recipeShape, builtinRegistries) };
    return known;
  });
  handle(app, checkRecipe, async ({ body: { text } }) => {
    const registries = await registriesWith(pluginsIn(text, process.cwd()));
    return { mistakes: checkRecipeText(text, { registries }).mistakes };
  });
}
