/**
 * The recipe as a JSON Schema (2020-12), for forms and editors: the base schema with every record part replaced by the choice
 * of its family's records, each with its own options. Made from the same zod schemas that check recipes; knows no key.
 */

import { z } from 'zod';
import { FAMILIES, type Family, type RecipeRecord, type Registries } from './registries.ts';

export type JsonSchema = Record<string, unknown>;

export function recipeJsonSchema(shape: z.ZodType, registries: Registries): JsonSchema {
  const schema = schemaOf(shape);
  for (const family of Object.keys(FAMILIES) as Family[]) {
    const { path } = FAMILIES[family];
    replaceAt(schema, path, (part) => ({
      ...keptOf(part),
      oneOf: [...registries[family].values()].map(variantOf),
    }));
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

function replaceAt(
  schema: JsonSchema,
  path: readonly string[],
  change: (part: JsonSchema) => JsonSchema,
): void {
  const [head, ...rest] = path;
  if (head === undefined) return;
  const inside = head === '*' ? schema : ((schema.properties ?? {}) as Record<string, JsonSchema>);
  const key = head === '*' ? 'items' : head;
  const part = (inside as Record<string, JsonSchema>)[key];
  if (part === undefined) throw new Error(`the recipe has no ${path.join('.')}`);
  if (rest.length === 0) (inside as Record<string, JsonSchema>)[key] = change(part);
  else replaceAt(part, rest, change);
}

function schemaOf(schema: z.ZodType): JsonSchema {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, {
    io: 'input',
    unrepresentable: 'any',
    reused: 'inline',
  });
  return rest;
}
