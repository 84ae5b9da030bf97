/**
 * A JSON array of objects, or an object of objects whose names become the column `key` (PubMedQA). Files named .json that in
 * truth hold one object a line are read as JSON Lines.
 */

import { messageOf } from '../../base/errors.ts';
import { kindOf } from '../schemas/schema.ts';
import { jsonl, objectRow } from './jsonl.ts';
import type { BrokenRow, Row, RowReader, RowSource } from './reader.ts';
import { WRONG_ENCODING, wholeText } from './utf8.ts';

async function* read(source: RowSource): AsyncGenerator<Row | BrokenRow> {
  const text = await wholeText(source);
  if (text === undefined) return yield { where: source.name, problem: WRONG_ENCODING };
  if (text.trim() === '') return;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    if (firstLineIsObject(text)) return yield* jsonl.read(source);
    return yield brokenJson(cause, text, source.name);
  }
  if (isObjectOfObjects(value)) return yield* keyedRows(value, source.name);
  if (!Array.isArray(value)) return yield { where: source.name, problem: notAnArray(value) };
  for (const [index, item] of value.entries()) yield objectRow(item, `${source.name}[${index}]`);
}

/** At least two: a file with one object is more likely a row without its list. */
function isObjectOfObjects(value: unknown): value is Readonly<Record<string, object>> {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) return false;
  const rows = Object.values(value);
  return (
    rows.length > 1 && rows.every((row) => row !== null && typeof row === 'object' && !Array.isArray(row))
  );
}

function* keyedRows(rows: Readonly<Record<string, object>>, name: string): Generator<Row | BrokenRow> {
  for (const [key, row] of Object.entries(rows)) yield objectRow({ key, ...row }, `${name}[${key}]`);
}

function notAnArray(value: unknown): string {
  return `the file holds ${kindOf(value)}, an array of objects was expected`;
}

function firstLineIsObject(text: string): boolean {
  try {
    const value: unknown = JSON.parse(text.slice(0, text.indexOf('\n')));
    return value !== null && typeof value === 'object';
  } catch {
    return false;
  }
}

/** The engine says `position 123` (and the line only in some versions); users look for a line. */
function brokenJson(cause: unknown, text: string, name: string): BrokenRow {
  const message = messageOf(cause);
  const position = /position (\d+)/.exec(message)?.[1];
  const line = position === undefined ? '' : `:${text.slice(0, Number(position)).split('\n').length}`;
  return { where: `${name}${line}`, problem: `this is no JSON: ${message}` };
}

export const json: RowReader = { id: 'json', extensions: ['.json'], read };
