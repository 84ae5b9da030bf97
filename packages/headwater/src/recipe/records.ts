/** The parts of a recipe that a record parses: `{ kind, …options }`, each against its own record's schema. */

import type { z } from 'zod';
import { didYouMean } from '../base/suggest.ts';
import { defOf, describeValue } from './describe.ts';
import { type Issue, type Path, parseAt, valueAt } from './issues.ts';
import { FAMILIES, type Family, type RecipeRecord, type Registries } from './registries.ts';

export interface ParsedRecord {
  readonly path: Path;
  readonly value: { readonly kind: string };
}

/** Parses every record part present in `raw`; absent parts are the base schema's business. */
export function parseRecords(
  raw: unknown,
  registries: Registries,
): { readonly parsed: ParsedRecord[]; readonly issues: Issue[] } {
  const parsed: ParsedRecord[] = [];
  const issues: Issue[] = [];
  for (const family of Object.keys(FAMILIES) as Family[]) {
    for (const path of expand(raw, FAMILIES[family].path)) {
      const part = valueAt(raw, path);
      if (part === null || typeof part !== 'object' || Array.isArray(part)) continue;
      const result = parseRecord(part as Record<string, unknown>, path, family, registries[family]);
      issues.push(...result.issues);
      if (result.value !== undefined) parsed.push({ path, value: result.value });
    }
  }
  return { parsed, issues };
}

function parseRecord(
  part: Record<string, unknown>,
  path: Path,
  family: Family,
  registry: ReadonlyMap<string, RecipeRecord>,
): { readonly value?: { readonly kind: string }; readonly issues: Issue[] } {
  const { kind, ...options } = part;
  if (typeof kind !== 'string') return { issues: [] };
  const record = registry.get(kind);
  if (record === undefined) {
    const known = didYouMean(kind, [...registry.keys()]);
    const message = `unknown ${FAMILIES[family].noun} ${describeValue(kind)}; ${known}`;
    return { issues: [{ path: [...path, 'kind'], message }] };
  }
  const result = parseAt(strictOptions(record.options), options, path);
  if (result.issues.length > 0) return { issues: result.issues };
  return { value: { kind, ...(result.value as Record<string, unknown>) }, issues: [] };
}

/** An option schema that would silently drop unknown keys is made strict: a misspelt option is a mistake. */
function strictOptions(schema: z.ZodType): z.ZodType {
  // No instanceof: a plug-in may bring its own copy of zod.
  const { type, catchall } = defOf(schema);
  return type === 'object' && catchall === undefined ? (schema as z.ZodObject).strict() : schema;
}

function expand(raw: unknown, pattern: readonly string[]): Path[] {
  const star = pattern.indexOf('*');
  if (star < 0) return valueAt(raw, pattern) === undefined ? [] : [pattern];
  const list = valueAt(raw, pattern.slice(0, star));
  if (!Array.isArray(list)) return [];
  return list.map((_, index) => [...pattern.slice(0, star), index, ...pattern.slice(star + 1)]);
}
