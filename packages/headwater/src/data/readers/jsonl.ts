/** JSON Lines: one object a line, read as a stream; blank lines are allowed. */

import { kindOf, type RowValues } from '../schemas/schema.ts';
import type { BrokenRow, Row, RowReader, RowSource } from './reader.ts';
import { lines, WRONG_ENCODING } from './utf8.ts';

async function* read(source: RowSource): AsyncGenerator<Row | BrokenRow> {
  for await (const { text, number } of lines(source)) {
    const where = `${source.name}:${number}`;
    if (text === undefined) yield { where, problem: WRONG_ENCODING };
    else if (text.trim() !== '') yield parseRow(text, where);
  }
}

function parseRow(text: string, where: string): Row | BrokenRow {
  try {
    return objectRow(JSON.parse(text), where);
  } catch (cause) {
    return { where, problem: `this line is no JSON: ${cause instanceof Error ? cause.message : cause}` };
  }
}

export function objectRow(value: unknown, where: string): Row | BrokenRow {
  if (value !== null && typeof value === 'object' && !Array.isArray(value)) {
    return { values: value as RowValues, where };
  }
  return { where, problem: `this is ${kindOf(value)}, an object with columns was expected` };
}

export const jsonl: RowReader = { id: 'jsonl', extensions: ['.jsonl', '.ndjson'], read };
