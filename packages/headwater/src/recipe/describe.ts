/**
 * zod schemas in words: "a whole number > 0", "a string or a list of strings". Error messages and the generated
 * reference page speak through it, so they cannot drift from the schema. It knows zod's definitions, no recipe.
 */

import type { z } from 'zod';

type Def = Record<string, unknown> & { readonly type: string };

export function defOf(schema: z.ZodType): Def {
  return schema.def as unknown as Def;
}

/** Removes default, prefault, optional, nullable, readonly and the output side of transforms. */
export function unwrap(schema: z.ZodType): z.ZodType {
  const def = defOf(schema);
  if (def.innerType !== undefined) return unwrap(def.innerType as z.ZodType);
  if (def.type === 'pipe') return unwrap(def.in as z.ZodType);
  if (def.type === 'lazy') return unwrap((def.getter as () => z.ZodType)());
  return schema;
}

/** Keys of an object schema, undefined for others. */
export function shapeOf(schema: z.ZodType): Readonly<Record<string, z.ZodType>> | undefined {
  const def = defOf(unwrap(schema));
  return def.type === 'object' ? (def.shape as Record<string, z.ZodType>) : undefined;
}

/** All schemas that may stand at `path`: unions branch. */
export function schemasAt(schema: z.ZodType, path: readonly PropertyKey[]): z.ZodType[] {
  const here = unwrap(schema);
  const def = defOf(here);
  if (def.type === 'union') return (def.options as z.ZodType[]).flatMap((option) => schemasAt(option, path));
  const [head, ...rest] = path;
  if (head === undefined) return [here];
  const child = childOf(def, head);
  return child === undefined ? [] : schemasAt(child, rest);
}

function childOf(def: Def, key: PropertyKey): z.ZodType | undefined {
  if (def.type === 'object') return (def.shape as Record<string, z.ZodType>)[String(key)];
  if (def.type === 'array') return def.element as z.ZodType;
  if (def.type === 'record') return def.valueType as z.ZodType;
  return undefined;
}

/** What a value must be, in words. */
export function describeSchema(schema: z.ZodType): string {
  const here = unwrap(schema);
  const def = defOf(here);
  switch (def.type) {
    case 'string':
      return 'a string';
    case 'boolean':
      return 'true or false';
    case 'number':
      return describeNumber(def);
    case 'enum':
      return `one of ${Object.values(def.entries as Record<string, string>).join(', ')}`;
    case 'literal':
      return (def.values as unknown[]).map((value) => JSON.stringify(value)).join(' or ');
    case 'array':
      return describeList(def);
    case 'union':
      return (def.options as z.ZodType[]).map(describeSchema).join(' or ');
    case 'object':
      return describeMap(here);
    case 'record':
      return `a map whose values are each ${describeSchema(def.valueType as z.ZodType)}`;
    default:
      return def.type;
  }
}

function describeMap(schema: z.ZodType): string {
  const keys = Object.keys(shapeOf(schema) ?? {});
  if (keys.length === 1 && keys[0] === 'kind') return 'a map with the key "kind" and its options';
  return keys.length === 0 ? 'a map' : `a map (keys: ${keys.join(', ')})`;
}

function describeList(def: Def): string {
  const least = checksOf(def).find((check) => check.check === 'min_length');
  const element = describeSchema(def.element as z.ZodType);
  return `a list${least === undefined ? '' : ` of at least ${least.minimum}`}, each ${element}`;
}

function describeNumber(def: Def): string {
  const whole = def.format === 'safeint' || checksOf(def).some((check) => check.format === 'safeint');
  const bounds = checksOf(def).flatMap(boundOf);
  return `${whole ? 'a whole number' : 'a number'}${bounds.length === 0 ? '' : ` ${bounds.join(' and ')}`}`;
}

function boundOf(check: Def): string[] {
  if (check.check === 'greater_than') return [`${check.inclusive ? '≥' : '>'} ${check.value}`];
  if (check.check === 'less_than') return [`${check.inclusive ? '≤' : '<'} ${check.value}`];
  if (check.check === 'multiple_of') return [`divisible by ${check.value}`];
  return [];
}

function checksOf(def: Def): Def[] {
  const checks = (def.checks ?? []) as { readonly _zod: { readonly def: Def } }[];
  return checks.map((check) => check._zod.def);
}

/** What a value is, in words short enough for a message. */
export function describeValue(value: unknown): string {
  if (value === undefined || value === null) return 'nothing';
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : `a list of ${value.length}`;
  if (typeof value === 'object') return `a map (keys: ${Object.keys(value).join(', ') || 'none'})`;
  const text = JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}
