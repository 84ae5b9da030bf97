/** A data schema: how one row of a file becomes examples. One file each, one line in registry.ts; it reads no files. */

import type { z } from 'zod';
import { nearest } from '../../base/suggest.ts';
import type { Example, ExampleMeta } from '../types.ts';

/** One row as a reader found it: column → value (strings for CSV; anything for JSON and Parquet). */
export type RowValues = Readonly<Record<string, unknown>>;

/** What of an example's facts its schema knows. */
type SchemaMeta = Pick<ExampleMeta, 'options' | 'optionTexts' | 'program'>;

/** An example before the loader adds where it came from. */
export type ExampleBody = Example extends infer E
  ? E extends Example
    ? Omit<E, 'meta'> & { readonly meta?: SchemaMeta }
    : never
  : never;

export interface DataSchema<O> {
  readonly id: string;
  readonly summary: string;
  readonly options: z.ZodType<O>;
  /** What its examples are beside prompts and answers: a chosen and a rejected answer to each prompt. */
  readonly examples?: 'pairs';
  /** Whether they are written in the model's chat template; omitted: never. */
  readonly isChat?: (options: O) => boolean;
  /** Throws RowProblem when the row does not fit. */
  toExamples(row: RowValues, options: O): readonly ExampleBody[];
}

/** A mistake in one row; the loader adds the place and reports the first few together. */
export class RowProblem extends Error {
  override readonly name = 'RowProblem';
}

/** A column that must be there; the message names the near miss. */
export function requireColumn(row: RowValues, column: string): unknown {
  if (Object.hasOwn(row, column)) return row[column];
  const columns = Object.keys(row);
  const guess = nearest(column, columns);
  const hint =
    guess === undefined ? `the row has: ${columns.slice(0, 12).join(', ')}` : `did you mean "${guess}"?`;
  throw new RowProblem(`there is no column "${column}"; ${hint}`);
}

/** Text of a column: strings as they are, numbers and booleans written out; anything else is a mistake. */
export function textColumn(row: RowValues, column: string): string {
  return asText(requireColumn(row, column), column);
}

/** Like textColumn, but '' where the column is absent or null. */
export function optionalText(row: RowValues, column: string): string {
  const value = Object.hasOwn(row, column) ? row[column] : undefined;
  return value === undefined || value === null ? '' : asText(value, column);
}

export function asText(value: unknown, column: string): string {
  if (typeof value === 'string') return value;
  if (typeof value === 'number' || typeof value === 'boolean' || typeof value === 'bigint')
    return String(value);
  throw new RowProblem(`column "${column}" holds ${kindOf(value)}, a text was expected`);
}

/** A list column; CSV and some Parquet files carry it as JSON text. */
export function listColumn(row: RowValues, column: string, of = 'messages'): readonly unknown[] {
  const value = requireColumn(row, column);
  const list = typeof value === 'string' ? parseList(value) : value;
  if (Array.isArray(list)) return list;
  throw new RowProblem(`column "${column}" holds ${kindOf(value)}, a list of ${of} was expected`);
}

function parseList(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

export function kindOf(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'a list';
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`;
}
