/** The comparison of a run in the terminal. */

import { comparisonTable } from '../report/comparison-table.ts';
import type { RunResults } from '../runs/results.ts';
import { paint, renderTable } from './style.ts';

export function printComparison(results: RunResults): void {
  const table = comparisonTable(results);
  if (table === undefined) {
    const why = results.status === 'running' ? 'The run is not finished' : 'The recipe has no test data';
    console.log(`${why}, so there is nothing to compare.`);
    return;
  }
  const rows = table.rows.map(({ cells, strong }) =>
    strong ? cells.map((text) => paint.bold(text)) : cells,
  );
  console.log(`\n${renderTable({ head: table.head, rows })}\n`);
  for (const note of table.notes) console.log(paint.dim(wrapped(note)));
}

const WIDTH = 100;

/** Lines that fit a terminal. */
export function wrapped(text: string): string {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + word.length >= WIDTH) {
      lines.push(line);
      line = '';
    }
    line += line === '' ? word : ` ${word}`;
  }
  return [...lines, line].join('\n');
}
