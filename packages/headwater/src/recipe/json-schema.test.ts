import { expect, it } from 'vitest';
import { builtinRegistries } from '../jobs/records.ts';
import { type JsonSchema, recipeJsonSchema } from './json-schema.ts';
import { FAMILIES, type Family } from './registries.ts';
import { recipeShape } from './schema.ts';

const schema = recipeJsonSchema(recipeShape, builtinRegistries);

/** Every schema that may stand at the path. */
function partsAt(from: JsonSchema, path: readonly string[]): JsonSchema[] {
  const [head, ...rest] = path;
  if (head === undefined) return [from];
  const places = (from.oneOf ?? [from]) as JsonSchema[];
  return places.flatMap((place) => {
    const part = head === '*' ? place.items : (place.properties as JsonSchema | undefined)?.[head];
    return part === undefined ? [] : partsAt(part as JsonSchema, rest);
  });
}

it.each(Object.keys(FAMILIES) as Family[])(
  '%s: every record can be chosen where it belongs, with its options',
  (family) => {
    const parts = partsAt(schema, FAMILIES[family].path);
    expect(parts.length).toBeGreaterThan(0);
    for (const { oneOf } of parts) {
      const variants = oneOf as { title: string; properties: { kind: unknown } }[];
      expect(variants.map(({ title }) => title)).toEqual([...builtinRegistries[family].keys()]);
      expect(
        variants.every(
          ({ title, properties }) => JSON.stringify(properties.kind) === JSON.stringify({ const: title }),
        ),
      ).toBe(true);
    }
  },
);

it('says of a key what the reference says: what it means, its bounds, its default, whether it must be there', () => {
  const { properties, required } = schema as unknown as {
    properties: Record<string, JsonSchema>;
    required: string[];
  };
  expect(required).toEqual(
    expect.arrayContaining(['name', 'model', 'data', 'tuning', 'training', 'federation']),
  );
  expect(required).not.toContain('seed');
  const { rounds, weighting } = properties.federation!.properties as Record<string, JsonSchema>;
  expect(rounds).toMatchObject({ type: 'integer', exclusiveMinimum: 0 });
  expect(weighting).toMatchObject({ default: 'examples', enum: ['examples', 'tokens', 'uniform'] });
  expect(weighting!.description).toContain('counts by');
});
