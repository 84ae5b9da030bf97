/** A data file: rows, columns, broken places, who holds what. Reads every row, keeps none. */

import { resolve } from 'node:path';
import { formatCount } from '../../base/format.ts';
import { fileSource } from '../../data/dataset-node.ts';
import { readerFor } from '../../data/readers/registry.ts';
import type { RowValues } from '../../data/schemas/schema.ts';
import type { Inspection, InspectionTable } from './inspection.ts';

export interface InspectDataOptions {
  readonly format?: string;
  readonly owner?: string;
  readonly label?: string;
}

/** More different values than this are counted as "many". */
const MAX_DISTINCT = 100_000;

interface Column {
  filled: number;
  example: string;
  readonly distinct: Set<string>;
}

export async function inspectData(file: string, options: InspectDataOptions): Promise<Inspection> {
  const reader = readerFor(file, options.format);
  const columns = new Map<string, Column>();
  const owners = new Map<string, Map<string, number>>();
  const broken: string[][] = [];
  let rows = 0;
  for await (const row of reader.read(fileSource(file, resolve(file)))) {
    if ('problem' in row) {
      broken.push([row.where, row.problem]);
      continue;
    }
    rows++;
    for (const [name, value] of Object.entries(row.values)) look(columns, name, value);
    if (options.owner !== undefined) count(owners, row.values, options.owner, options.label);
  }
  const shownBroken = broken.slice(0, 10);
  return {
    kind: 'data file',
    name: file,
    facts: { format: reader.id, rows: formatCount(rows), 'broken places': String(broken.length) },
    tables: [
      {
        title: 'Columns',
        head: ['name', 'filled', 'different', 'for example'],
        rows: columnRows(columns),
        numeric: false,
      },
      ...(owners.size === 0 ? [] : [ownersTable(owners, options)]),
      ...(broken.length === 0
        ? []
        : [{ title: 'Broken places', head: ['where', 'what'], rows: shownBroken, numeric: false }]),
    ],
  };
}

function look(columns: Map<string, Column>, name: string, value: unknown): void {
  const column = columns.get(name) ?? { filled: 0, example: '', distinct: new Set<string>() };
  columns.set(name, column);
  const text = textOf(value);
  if (text === '') return;
  column.filled++;
  if (column.example === '') column.example = text;
  if (column.distinct.size < MAX_DISTINCT) column.distinct.add(text);
}

function textOf(value: unknown): string {
  if (value === null || value === undefined) return '';
  return typeof value === 'string' ? value : (JSON.stringify(value) ?? String(value));
}

function columnRows(columns: ReadonlyMap<string, Column>): string[][] {
  return [...columns].map(([name, { filled, distinct, example }]) => [
    name,
    formatCount(filled),
    distinct.size >= MAX_DISTINCT ? 'many' : formatCount(distinct.size),
    example.length > 60 ? `${example.slice(0, 59)}…` : example,
  ]);
}

function count(
  owners: Map<string, Map<string, number>>,
  values: RowValues,
  owner: string,
  label?: string,
): void {
  const name = textOf(values[owner]) || '(nobody)';
  const labels = owners.get(name) ?? new Map<string, number>();
  owners.set(name, labels);
  const kind = label === undefined ? '' : textOf(values[label]);
  labels.set(kind, (labels.get(kind) ?? 0) + 1);
}

function ownersTable(
  owners: ReadonlyMap<string, ReadonlyMap<string, number>>,
  { owner = '', label }: InspectDataOptions,
): InspectionTable {
  const rows = [...owners].map(([name, labels]) => {
    const total = [...labels.values()].reduce((a, b) => a + b, 0);
    return [
      name,
      formatCount(total),
      ...(label === undefined ? [] : [String(labels.size), mostFrequent(labels)]),
    ];
  });
  const head = [owner, 'rows', ...(label === undefined ? [] : [`different ${label}`, 'most frequent'])];
  return { title: 'Who holds what', head, rows, numeric: true };
}

function mostFrequent(labels: ReadonlyMap<string, number>): string {
  return [...labels]
    .sort((a, b) => b[1] - a[1])
    .slice(0, 3)
    .map(([name, times]) => `${name} (${times})`)
    .join(', ');
}
