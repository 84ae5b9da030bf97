/**
 * The recipe as a JSON Schema (2020-12), for forms and editors: the base schema with every record part replaced by the choice
 * of its family's records, each with its own options. Made from the same zod schemas that check recipes; knows no key.
 */

import { z } from 'zod';
import { FAMILIES, type Family, type RecipeRecord, type Registries } from './registries.ts';

export type JsonSchema = Record<string, unknown>;

export function recipeJsonSchema(shape: z.ZodType, registries: Registries): JsonSchema {
  const schema = schemaOf(shape);
  // A record may hold others: it comes first.
  const families = (Object.keys(FAMILIES) as Family[]).sort(
    (a, b) => FAMILIES[a].path.length - FAMILIES[b].path.length,
  );
  for (const family of families) {
    const { path } = FAMILIES[family];
    const variants = [...registries[family].values()].map(variantOf);
    const replaced = replaceAt(schema, path, (part) => ({ ...keptOf(part), oneOf: variants }));
    if (replaced === 0) throw new Error(`the recipe has no ${path.join('.')}`);
  }
  return schema;
}

function variantOf({ id, summary, options }: RecipeRecord): JsonSchema {
  const { properties = {}, required = [] } = schemaOf(options) as {
    properties?: JsonSchema;
    required?: readonly string[];
  };
  return {
    title: id,
    description: summary,
    type: 'object',
    properties: { kind: { const: id }, ...properties },
    required: ['kind', ...required],
    additionalProperties: false,
  };
}

/** What is said about the part itself. */
function keptOf({ description, default: given }: JsonSchema): JsonSchema {
  return {
    ...(description === undefined ? {} : { description }),
    ...(given === undefined ? {} : { default: given }),
  };
}

/** How often it was there: a record's options are there once for each variant that has them. */
function replaceAt(
  schema: JsonSchema,
  path: readonly string[],
  change: (part: JsonSchema) => JsonSchema,
): number {
  const [head, ...rest] = path;
  if (head === undefined) return 0;
  const places = (schema.oneOf ?? [schema]) as readonly JsonSchema[];
  return places.reduce((sum, place) => {
    const inside = (head === '*' ? place : (place.properties ?? {})) as Record<string, JsonSchema>;
    const key = head === '*' ? 'items' : head;
    const part = inside[key];
    if (part === undefined) return sum;
    if (rest.length > 0) return sum + replaceAt(part, rest, change);
    inside[key] = change(part);
    return sum + 1;
  }, 0);
}

function schemaOf(schema: z.ZodType): JsonSchema {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, {
    io: 'input',
    unrepresentable: 'any',
    reused: 'inline',
  });
  return rest;
}
