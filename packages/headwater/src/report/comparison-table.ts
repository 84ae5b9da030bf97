/** The comparison of a run as cells and notes, the same in the terminal and in the report. */

import { formatCount } from '../base/format.ts';
import type { RunResults } from '../runs/results.ts';
import { type Comparison, type ComparisonRow, comparisonOf } from '../runs/table.ts';
import { formatInterval, formatScore, metricLabel } from './metrics.ts';
import type { TableRow } from './page.ts';

export interface ComparisonTable {
  readonly metric: string;
  readonly head: readonly string[];
  readonly rows: readonly TableRow[];
  /** What the numbers are and are not. */
  readonly notes: readonly string[];
}

/** Undefined when there is no test data. */
export function comparisonTable(results: RunResults): ComparisonTable | undefined {
  const main = comparisonOf(results);
  if (main === undefined) return undefined;
  const { metric } = main;
  const loss = metric === 'loss' ? undefined : comparisonOf(results, 'loss');
  const lossColumn = loss === undefined ? [] : ['loss'];
  const head = [
    '',
    `${metricLabel(metric)}, pooled test`,
    'own tests, mean',
    ...lossColumn,
    'sequential steps',
    'tokens seen',
  ];
  const rows = main.rows.map((row, i) =>
    rowOf(row, metric, loss && lossOf(results, row, metric, loss.rows[i])),
  );
  return { metric, head, rows: [...rows, ...chanceRow(main, head.length)], notes: notesOf(results, main) };
}

/** The best local model is the best by the main metric; its loss is its own, not the lowest of some other model. */
function lossOf(
  { localOnly }: RunResults,
  row: ComparisonRow,
  metric: string,
  sameRow: ComparisonRow | undefined,
): number | null {
  if (row.label !== 'local-only, best') return sameRow?.pooled ?? null;
  const best = Object.values(localOnly).find(({ test }) => test?.pooled[metric] === row.pooled);
  return best?.test?.pooled.loss ?? null;
}

function rowOf(row: ComparisonRow, metric: string, loss: number | null | undefined): TableRow {
  const { label, pooled, interval, ownMean, sequentialSteps, tokensSeen } = row;
  return {
    cells: [
      label,
      formatScore(metric, pooled) + formatInterval(metric, interval),
      formatScore(metric, ownMean),
      ...(loss === undefined ? [] : [formatScore('loss', loss)]),
      formatCount(sequentialSteps),
      formatCount(tokensSeen),
    ],
    strong: label === 'federated',
  };
}

function chanceRow({ chance, metric }: Comparison, columns: number): TableRow[] {
  if (chance === null) return [];
  return [{ cells: ['chance', formatScore(metric, chance), ...new Array<string>(columns - 2).fill('')] }];
}

function notesOf(results: RunResults, comparison: Comparison): string[] {
  const sizes = Object.values(comparison.ownerExamples);
  const { numExamples = comparison.numExamples, available = numExamples } = results.facts.heldOut.test ?? {};
  const whole = numExamples === available;
  const sample = whole ? 'all of them' : `a stratified sample of ${formatCount(available)}; --full takes all`;
  return [
    `Pooled test: ${formatCount(numExamples)} rows (${sample}). Own tests: the ${range(sizes)} of these rows that belong to an owner, averaged over ${sizes.length} owners; for local-only each owner's own model.`,
    ...budgetNotes(results),
    ...failures(results),
  ];
}

/** What makes the arms comparable, and where they are not. */
function budgetNotes({ federated, centralised, localOnly }: RunResults): string[] {
  const seen = [`federated ${formatCount(federated.tokensSeen)}`];
  if (centralised !== null) seen.push(`centralised ${formatCount(centralised.tokensSeen)}`);
  const local = Object.values(localOnly).reduce((sum, { tokensSeen }) => sum + tokensSeen, 0);
  if (local > 0) seen.push(`all local-only models together ${formatCount(local)}`);
  if (seen.length === 1) return [];
  const budget = `Training tokens seen: ${seen.join(', ')}.`;
  if (centralised === null) return [budget];
  return [
    `${budget} Centralised takes ${formatCount(centralised.sequentialSteps)} optimizer steps one after the other, where a federated client takes ${formatCount(federated.sequentialSteps)}: it is what pooling the data would give, not a rival at equal terms.`,
  ];
}

function failures({ centralised, localOnly }: RunResults): string[] {
  const arms = [
    ...(centralised === null ? [] : [['centralised', centralised] as const]),
    ...Object.entries(localOnly),
  ];
  return arms.flatMap(([name, { failure }]) => (failure === null ? [] : [`${name} failed: ${failure}`]));
}

function range(sizes: readonly number[]): string {
  const low = Math.min(...sizes);
  const high = Math.max(...sizes);
  return low === high ? formatCount(low) : `${formatCount(low)} to ${formatCount(high)}`;
}
