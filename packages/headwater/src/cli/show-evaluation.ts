/** What `headwater eval` found, in the terminal: figures with their intervals, by owner and group, and how was asked. */

import { formatCount } from '../base/format.ts';
import type { EvaluationResult, Scores } from '../federation/events.ts';
import type { TaskFacts } from '../jobs/held-out.ts';
import type { DataFacts } from '../jobs/tokenize-parts.ts';
import { formatChange, formatInterval, formatScore, metricLabel } from '../report/metrics.ts';
import { paint, renderTable } from './style.ts';

export interface Evaluated extends EvaluationResult {
  readonly model: string;
  readonly adapter: string | null;
  readonly split: string;
  readonly seed: number;
  readonly tasks: readonly TaskFacts[];
  readonly chance: Readonly<Record<string, number>>;
  /** Of the base model, where a figure is told as a distance to it. */
  readonly base?: Scores;
}

export function printEvaluation(
  result: Evaluated,
  { metrics: known, heldOut }: Pick<DataFacts, 'metrics' | 'heldOut'>,
  confidence: number,
): void {
  const { model, adapter, split, pooled, intervals } = result;
  const metrics = Object.keys(pooled).filter((id) => pooled[id] !== null);
  console.log(`${model}${adapter === null ? '' : ` with ${adapter}`}, ${split} rows\n`);
  console.log(
    renderTable({ head: ['', 'rows', ...metrics.map(metricLabel)], rows: rowsOf(result, metrics, known) }),
  );
  const notes = [
    ...(intervals === undefined
      ? []
      : [
          `In parentheses ${100 * confidence} % intervals: percentile bootstrap over rows, seed ${result.seed}.`,
        ]),
    ...cutNote(heldOut[split as 'test']?.textsCut),
    ...result.tasks.map(({ kind, options }) => `${kind} ${JSON.stringify(options)}`),
  ];
  console.log(notes.map((note) => `\n${paint.dim(note)}`).join(''));
}

function rowsOf(result: Evaluated, metrics: readonly string[], known: DataFacts['metrics']): string[][] {
  const { numExamples, pooled, intervals, owners, groups = {}, chance, base } = result;
  const scored = (name: string, { numExamples: count, scores }: { numExamples: number; scores: Scores }) => [
    name,
    formatCount(count),
    ...metrics.map((id) => (scores[id] === undefined ? '' : formatScore(id, scores[id]))),
  ];
  const all = metrics.map((id) => formatScore(id, pooled[id]) + formatInterval(id, intervals?.[id]));
  return [
    ['all', formatCount(numExamples), ...all].map(paint.bold),
    ...(base === undefined ? [] : baseRows(pooled, base, metrics, known)),
    ...Object.entries(owners).map(([owner, of]) => scored(owner, of)),
    ...Object.entries(groups).map(([group, of]) => scored(group, of)),
    ['chance', '', ...metrics.map((id) => (chance[id] === undefined ? '' : formatScore(id, chance[id])))],
  ];
}

function baseRows(
  pooled: Scores,
  base: Scores,
  metrics: readonly string[],
  known: DataFacts['metrics'],
): string[][] {
  const compared = new Set(known.flatMap(({ id, comparedWithBase }) => (comparedWithBase ? [id] : [])));
  const change = (id: string) => {
    const [now, before] = [pooled[id], base[id]];
    const told = compared.has(id) && typeof now === 'number' && typeof before === 'number';
    return told ? formatChange(id, now, before) : '';
  };
  return [
    ['base model', '', ...metrics.map((id) => formatScore(id, base[id]))],
    ['change', '', ...metrics.map(change)],
  ];
}

function cutNote(textsCut = 0): string[] {
  return textsCut === 0
    ? []
    : [
        `${formatCount(textsCut)} texts lost tokens to fit: prompts from their left, answers from their right.`,
      ];
}
