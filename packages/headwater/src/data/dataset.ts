/**
 * Rows of several files → examples with owner and label. All mistakes of the data are collected and the first few
 * reported together with their places; nothing is skipped silently. Opens no files.
 */

import { HeadwaterError } from '../base/errors.ts';
import type { BrokenRow, Row, RowReader, RowSource } from './readers/reader.ts';
import {
  asText,
  type DataSchema,
  type ExampleBody,
  listColumn,
  RowProblem,
  type RowValues,
  requireColumn,
} from './schemas/schema.ts';
import { fillTemplate } from './schemas/template.ts';
import type { Example, ExampleMeta } from './types.ts';

export interface DatasetColumns {
  readonly ownerColumn?: string | undefined;
  /** The file's name without folder and endings is the owner. */
  readonly ownerByFile?: boolean | undefined;
  readonly labelColumn?: string | undefined;
  readonly groupColumn?: string | undefined;
  /** The name of the file without folder, endings and the name of its split. */
  readonly groupByFile?: boolean | undefined;
  /** A list of answers to choose from; CSV carries it as JSON text. */
  readonly optionsColumn?: string | undefined;
  /** Column that is asked for → column of the file, or a template over its columns (`{first} {last}`). */
  readonly mapping?: ReadonlyMap<string, string> | undefined;
}

export interface DataFile {
  readonly source: RowSource;
  readonly reader: RowReader;
}

/** After this many different mistakes the reading stops. */
const MAX_KINDS = 5;

/** Throws DATA_INVALID: an empty file, unreadable rows, rows that do not fit the schema. */
export async function readExamples<O>(
  files: readonly DataFile[],
  schema: DataSchema<O>,
  options: O,
  columns: DatasetColumns,
): Promise<Example[]> {
  const examples: Example[] = [];
  const problems = new Problems();
  for (const { source, reader } of files) {
    let rows = 0;
    for await (const row of reader.read(source)) {
      rows++;
      const found = convert(row, source.name, schema, options, columns);
      if ('problem' in found) problems.add(found);
      else for (const example of found.examples) examples.push(example);
      if (problems.kinds > MAX_KINDS) throw problems.error();
    }
    if (rows === 0) problems.add({ where: source.name, problem: 'the file holds no rows' });
  }
  if (problems.kinds > 0) throw problems.error();
  return examples;
}

function convert<O>(
  row: Row | BrokenRow,
  fileName: string,
  schema: DataSchema<O>,
  options: O,
  columns: DatasetColumns,
): BrokenRow | { readonly examples: readonly Example[] } {
  if ('problem' in row) return row;
  try {
    const values = mappedValues(row.values, columns.mapping);
    const meta = metaOf({ ...row, values }, fileName, columns);
    const bodies = schema.toExamples(values, options);
    return {
      examples: bodies.map((body) => ({ ...body, meta: { ...withClass(meta, body), ...body.meta } })),
    };
  } catch (cause) {
    if (!(cause instanceof RowProblem)) throw cause;
    return { where: row.where, problem: cause.message };
  }
}

/** Texts with a class need no labelColumn to be split and dealt out by it. */
function withClass(meta: ExampleMeta, body: ExampleBody): ExampleMeta {
  return meta.label === undefined && body.kind === 'classification' ? { ...meta, label: body.label } : meta;
}

/** The file's own columns stay; a mapped one hides a column of the same name. */
function mappedValues(values: RowValues, mapping: DatasetColumns['mapping']): RowValues {
  if (mapping === undefined || mapping.size === 0) return values;
  const mapped = [...mapping].map(([column, source]): [string, unknown] => [
    column,
    source.includes('{') ? fillTemplate(source, values) : requireColumn(values, source),
  ]);
  return Object.fromEntries([...Object.entries(values), ...mapped]);
}

function metaOf(row: Row, fileName: string, columns: DatasetColumns): ExampleMeta {
  const { ownerColumn, ownerByFile, labelColumn, groupColumn, groupByFile, optionsColumn } = columns;
  const owner = ownerByFile ? ownerOfFile(fileName) : named(row, ownerColumn);
  const label = named(row, labelColumn);
  const group = groupByFile ? groupOfFile(fileName) : named(row, groupColumn);
  return {
    where: row.where,
    ...(owner === undefined ? {} : { owner }),
    ...(label === undefined ? {} : { label }),
    ...(group === undefined ? {} : { group }),
    ...(optionsColumn === undefined ? {} : { options: optionsOf(row, optionsColumn) }),
  };
}

function optionsOf(row: Row, column: string): string[] {
  const options = listColumn(row.values, column, 'options').map((option) => asText(option, column));
  if (options.length < 2) throw new RowProblem(`column "${column}" offers fewer than two options`);
  return options;
}

function named(row: Row, column: string | undefined): string | undefined {
  if (column === undefined) return undefined;
  const name = asText(requireColumn(row.values, column), column);
  if (name.trim() === '') throw new RowProblem(`column "${column}" is empty`);
  return name;
}

/** `data/client-3.jsonl.gz` → `client-3`. */
export function ownerOfFile(fileName: string): string {
  const base = fileName.split(/[\\/]/).at(-1) ?? fileName;
  return base.replace(/\.gz$/i, '').replace(/\.[^.]+$/, '');
}

/** `test/anatomy_test.csv` and `dev/anatomy_dev.csv` are of one group: `anatomy`. */
function groupOfFile(fileName: string): string {
  return ownerOfFile(fileName).replace(/[-_.](?:train|dev|val|valid|validation|test)$/, '');
}

/** Mistakes by their text: the same one in a thousand rows is one line with a count. */
class Problems {
  readonly #places = new Map<string, string[]>();

  get kinds(): number {
    return this.#places.size;
  }

  add({ problem, where }: BrokenRow): void {
    const places = this.#places.get(problem);
    if (places === undefined) this.#places.set(problem, [where]);
    else places.push(where);
  }

  error(): HeadwaterError {
    const shown = [...this.#places].slice(0, MAX_KINDS);
    const lines = shown.map(([problem, places]) => {
      const more = places.length === 1 ? '' : ` (and ${places.length - 1} more)`;
      return `${places[0]}${more}: ${problem}`;
    });
    const rest = this.#places.size > shown.length ? ['… reading stopped here'] : [];
    const [first] = shown;
    if (lines.length === 1 && first !== undefined && first[1].length === 1) {
      return new HeadwaterError('DATA_INVALID', first[0], { where: first[1][0] ?? '' });
    }
    return new HeadwaterError('DATA_INVALID', ['the data have mistakes:', ...lines, ...rest].join('\n  '));
  }
}
