/** One mistake of a recipe, and zod's issues turned into such mistakes: what is expected, what was found. No positions. */

import type { z } from 'zod';
import { didYouMean } from '../base/suggest.ts';
import { describeSchema, describeValue, schemasAt, shapeOf } from './describe.ts';

export type Path = readonly PropertyKey[];

export interface Issue {
  /** Where in the recipe; for an unknown key the key itself is the last part. */
  readonly path: Path;
  readonly message: string;
  /** The mistake is the key, not its value. */
  readonly atKey?: boolean;
}

/** The value at a path of plain data; undefined where the path leaves it. */
export function valueAt(data: unknown, path: Path): unknown {
  let here = data;
  for (const part of path) {
    if (here === null || typeof here !== 'object') return undefined;
    here = (here as Record<PropertyKey, unknown>)[part];
  }
  return here;
}

/** `training.optimizer.learningRate`, `evaluation.tasks[0].kind`. */
export function pathText(path: Path): string {
  let text = '';
  for (const part of path)
    text += typeof part === 'number' ? `[${part}]` : `${text === '' ? '' : '.'}${String(part)}`;
  return text === '' ? 'the recipe' : text;
}

/** Parses `data` and returns either the value or every mistake, with `base` put before each path. */
export function parseAt<T>(
  schema: z.ZodType<T>,
  data: unknown,
  base: Path = [],
): { readonly value?: T; readonly issues: Issue[] } {
  const parsed = schema.safeParse(data);
  if (parsed.success) return { value: parsed.data, issues: [] };
  return { issues: parsed.error.issues.flatMap((issue) => explain(schema, data, issue, base)) };
}

function explain(schema: z.ZodType, data: unknown, issue: z.core.$ZodIssue, base: Path): Issue[] {
  if (issue.code === 'unrecognized_keys')
    return issue.keys.map((key) => unknownKey(schema, issue, key, base));
  const path = [...base, ...issue.path];
  const got = valueAt(data, issue.path);
  const expected = schemasAt(schema, issue.path).map(describeSchema).join(' or ');
  if (issue.code === 'custom' || expected === '') return [{ path, message: issue.message }];
  if (got === undefined) return [{ path, message: `is required: ${expected}` }];
  const reason = issue.code === 'invalid_format' ? `${expected} (${issue.message})` : expected;
  return [{ path, message: `expected ${reason}, got ${describeValue(got)}` }];
}

function unknownKey(schema: z.ZodType, issue: z.core.$ZodIssue, key: string, base: Path): Issue {
  const known = schemasAt(schema, issue.path).flatMap((at) => Object.keys(shapeOf(at) ?? {}));
  return {
    path: [...base, ...issue.path, key],
    message: `unknown key; ${didYouMean(key, known)}`,
    atKey: true,
  };
}
