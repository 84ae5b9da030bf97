/** What a list of runs says about a recipe: a few words from stored JSON of any version. It checks nothing. */

import { z } from 'zod';

const kind = z.object({ kind: z.string() });
const words = z.object({
  description: z.string().optional(),
  model: z.string().optional(),
  tuning: kind.optional(),
  federation: z
    .object({ method: kind.optional(), rounds: z.number().optional(), robust: kind.optional() })
    .optional(),
});

export interface RecipeAbout {
  readonly description: string | null;
  /** Without the folders before it. */
  readonly model: string | null;
  readonly method: string | null;
  readonly tuning: string | null;
  readonly rounds: number | null;
  /** What takes the place of the mean; null: nothing does. */
  readonly robust: string | null;
}

export function aboutRecipe(recipe: unknown): RecipeAbout {
  const { description, model, tuning, federation } = words.safeParse(recipe).data ?? {};
  return {
    description: description ?? null,
    model: model === undefined ? null : modelName(model),
    method: federation?.method?.kind ?? null,
    tuning: tuning?.kind ?? null,
    rounds: federation?.rounds ?? null,
    robust: federation?.robust?.kind === 'none' ? null : (federation?.robust?.kind ?? null),
  };
}

/** A hub id stays as it is, of a folder the last part is told. */
function modelName(model: string): string {
  return /^[./~]|^[a-z]:|\\/i.test(model)
    ? (model.split(/[\\/]/).findLast((part) => part !== '') ?? model)
    : model;
}
