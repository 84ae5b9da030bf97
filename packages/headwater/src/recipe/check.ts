/**
 * Raw data → recipe, or every mistake in it. Pure: knows no file, no YAML, no position; the records' own schemas come
 * in as an argument.
 */

import { crossCheck } from './cross-checks.ts';
import { checkExamples } from './example-checks.ts';
import { type Issue, type Path, parseAt } from './issues.ts';
import { type ParsedRecord, parseRecords } from './records.ts';
import type { Registries } from './registries.ts';
import { checkReleases } from './release-checks.ts';
import { type Recipe, recipeShape } from './schema.ts';

export interface CheckedRecipe {
  /** Present when there are no issues. */
  readonly recipe?: Recipe;
  readonly issues: readonly Issue[];
}

export function checkRecipe(raw: unknown, registries: Registries): CheckedRecipe {
  const base = parseAt(recipeShape, raw);
  // Defaults such as `partition: { kind: natural }` are records too: their options get their defaults as well.
  const records = parseRecords(base.value ?? raw, registries);
  const issues = [
    ...base.issues,
    ...records.issues,
    ...crossCheck(raw),
    ...checkExamples(raw, registries),
    ...checkReleases(base.value ?? raw, registries),
  ];
  if (base.value === undefined || issues.length > 0) return { issues };
  return { recipe: withRecords(base.value, records.parsed), issues };
}

function withRecords(recipe: Recipe, records: readonly ParsedRecord[]): Recipe {
  let result: unknown = recipe;
  for (const { path, value } of records) result = replaced(result, path, value);
  return result as Recipe;
}

function replaced(data: unknown, path: Path, value: unknown): unknown {
  const [head, ...rest] = path;
  if (head === undefined) return value;
  if (Array.isArray(data))
    return data.map((item, index) => (index === head ? replaced(item, rest, value) : item));
  const map = data as Record<PropertyKey, unknown>;
  return { ...map, [head]: replaced(map[head], rest, value) };
}
