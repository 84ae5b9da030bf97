/** What the page for a new run needs: recipes to begin with, the schema behind its form, the mistakes of a text. */

import type { FastifyInstance } from 'fastify';
import { builtinRegistries, registriesWith } from '../../jobs/records.ts';
import { recipeJsonSchema } from '../../recipe/json-schema.ts';
import { pluginsIn } from '../../recipe/load-node.ts';
import { recipeShape } from '../../recipe/schema.ts';
import { shippedRecipes, shippedText } from '../../recipe/shipped-node.ts';
import { checkRecipeText } from '../../recipe/text.ts';
import { operatorRoutes } from './admin-routes.ts';
import { handle } from './handle.ts';

export function addRecipes(app: FastifyInstance): void {
  const { recipes, checkRecipe } = operatorRoutes;
  handle(app, recipes, () => ({
    recipes: shippedRecipes().map((shipped) => ({
      name: shipped.name,
      description: shipped.description,
      text: shippedText(shipped),
    })),
    schema: recipeJsonSchema(recipeShape, builtinRegistries),
  }));
  handle(app, checkRecipe, async ({ body: { text } }) => {
    const registries = await registriesWith(pluginsIn(text, process.cwd()));
    return { mistakes: checkRecipeText(text, { registries }).mistakes };
  });
}
