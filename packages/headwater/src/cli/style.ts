/** What text looks like in a terminal: colours (off when piped or NO_COLOR) and tables. */

import Table from 'cli-table3';
import colors from 'picocolors';

export const paint = {
  bold: colors.bold,
  dim: colors.dim,
  good: colors.green,
  warn: colors.yellow,
  bad: colors.red,
  /** The error's code stands out, its text stays readable. */
  error: (text: string, code: string) =>
    colors.isColorSupported ? text.replace(code, colors.red(colors.bold(code))) : text,
};

export interface TableSpec {
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
  /** Columns after the first are numbers: right-aligned. Default true. */
  readonly numeric?: boolean;
}

/** A table without vertical rules: reads well, copies well, fits 80 columns. */
export function renderTable({ head, rows, numeric = true }: TableSpec): string {
  const table = new Table({
    head: head.map((text) => colors.bold(text)),
    colAligns: head.map((_, column) => (column === 0 || !numeric ? 'left' : 'right')),
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 2 },
    chars: PLAIN,
  });
  table.push(...rows.map((row) => [...row]));
  return table
    .toString()
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n');
}

const PLAIN = {
  top: '',
  'top-mid': '',
  'top-left': '',
  'top-right': '',
  bottom: '',
  'bottom-mid': '',
  'bottom-left': '',
  'bottom-right': '',
  left: '',
  'left-mid': '',
  mid: '',
  'mid-mid': '',
  right: '',
  'right-mid': '',
  middle: '',
};
