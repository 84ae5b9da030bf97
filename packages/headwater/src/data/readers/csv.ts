/** CSV and TSV with a header line (RFC 4180 quoting), by `csv-parse`. Every value is a text. */

import type { BrokenRow, Row, RowReader, RowSource } from './reader.ts';
import { WRONG_ENCODING, wholeText } from './utf8.ts';

interface Parsed {
  readonly record: readonly string[];
  /** `lines`: last line of the record. */
  readonly info: { readonly lines: number };
}

function reader(id: string, extensions: readonly string[], delimiter: string): RowReader {
  async function* read(source: RowSource): AsyncGenerator<Row | BrokenRow> {
    const text = await wholeText(source);
    if (text === undefined) return yield { where: source.name, problem: WRONG_ENCODING };
    const records = await parseRecords(text, delimiter, source.name);
    if (!Array.isArray(records)) return yield records;
    const [header, ...rows] = records;
    if (header === undefined) return;
    for (const row of rows) yield toRow(row, header.record, source.name);
  }
  return { id, extensions, read };
}

async function parseRecords(text: string, delimiter: string, name: string): Promise<Parsed[] | BrokenRow> {
  // For whoever has such a file.
  const { CsvError, parse } = await import('csv-parse/browser/esm/sync');
  const options = { delimiter, info: true, relax_column_count: true, skip_empty_lines: true } as const;
  try {
    return parse(text, options) as unknown as Parsed[];
  } catch (cause) {
    if (!(cause instanceof CsvError)) throw cause;
    const line = (cause as { lines?: number }).lines;
    return { where: line === undefined ? name : `${name}:${line}`, problem: cause.message };
  }
}

function toRow({ record, info }: Parsed, header: readonly string[], name: string): Row | BrokenRow {
  const where = `${name}:${info.lines}`;
  if (record.length !== header.length) {
    const problem = `the row has ${record.length} fields, the header has ${header.length} (an unquoted comma?)`;
    return { where, problem };
  }
  return { where, values: Object.fromEntries(header.map((column, i) => [column, record[i]])) };
}

export const csv = reader('csv', ['.csv'], ',');
export const tsv = reader('tsv', ['.tsv', '.tab'], '\t');
