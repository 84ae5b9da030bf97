/** A comparison as cells of text, the same in the terminal and in the report; and as CSV for programs. Pure. */

import { formatBytes, formatCount, formatDuration } from '../base/format.ts';
import type { MeanInterval } from '../base/student-t.ts';
import { formatScore, isShare, metricLabel } from '../report/metrics.ts';
import type { TableRow } from '../report/page.ts';
import type { ArmSummary, Comparison } from './comparison.ts';

export interface SummaryTable {
  readonly head: readonly string[];
  readonly rows: readonly TableRow[];
}

export function summaryTable(comparison: Comparison): SummaryTable {
  const { metric, chance, rows } = comparison;
  const withLoss = metric !== 'loss';
  const withError = rows.some(({ aggregationError }) => aggregationError !== null);
  const head = [
    '',
    metricLabel(metric),
    'own tests',
    ...(withLoss ? ['loss'] : []),
    ...(withError ? ['aggregation error'] : []),
    'up',
    'down',
    'client memory',
    'rounds',
    'time',
  ];
  const body = rows.map((row) => ({
    cells: [
      nameOf(row, comparison),
      scoreText(metric, row.pooled),
      scoreText(metric, row.own),
      ...(withLoss ? [scoreText('loss', row.loss)] : []),
      ...(withError ? [errorText(row)] : []),
      ...costCells(row),
    ],
  }));
  if (chance === null) return { head, rows: body };
  const rest = new Array<string>(head.length - 2).fill('');
  return { head, rows: [...body, { cells: ['chance', formatScore(metric, chance), ...rest] }] };
}

/** Below a ten thousandth of a percent it is rounding. */
function errorText({ aggregationError }: ArmSummary): string {
  if (aggregationError === null) return '';
  return aggregationError < 1e-6 ? '0 %' : `${(100 * aggregationError).toPrecision(2)} %`;
}

function costCells({ upBytes, downBytes, clientMemoryBytes, rounds, seconds }: ArmSummary): string[] {
  const text = (value: number | null, format: (value: number) => string) =>
    value === null ? '' : format(value);
  return [
    text(upBytes, (bytes) => formatBytes(Math.round(bytes))),
    text(downBytes, (bytes) => formatBytes(Math.round(bytes))),
    text(clientMemoryBytes, (bytes) => formatBytes(Math.round(bytes))),
    text(rounds, (count) => formatCount(count)),
    text(seconds, (value) => formatDuration(1000 * value)),
  ];
}

/** Who was named a free-rider, arm by arm; undefined where nobody looked. */
export function detectionTable(comparison: Comparison): SummaryTable | undefined {
  const rows = comparison.rows.filter(({ detection }) => detection != null);
  if (rows.length === 0) return undefined;
  const names = ['watch', 'S2-WEF alone', 'plain WEF alone', 'owners'];
  const figure = (value: number | null) => (value === null ? '–' : value.toFixed(2));
  return {
    head: ['free-riders: precision, recall, F1, false alarms', ...names],
    rows: rows.map(({ arm, detection }) => ({
      cells: [
        arm,
        ...DETECTORS.map(([key]) => MEASURES.map((measure) => figure(detection![key][measure])).join(', ')),
      ],
    })),
  };
}

/** The difference of each arm to the first, seed by seed. */
export function differenceTable(comparison: Comparison): SummaryTable | undefined {
  const rows = comparison.rows.filter(
    ({ difference, subject }) => difference !== null && subject === 'federated',
  );
  if (rows.length === 0) return undefined;
  return {
    head: ['', `${metricLabel(comparison.metric)} beside ${comparison.arms[0]}`, 'told apart from it'],
    rows: rows.map(({ arm, difference }) => ({
      cells: [arm, differenceText(comparison.metric, difference!), verdict(difference!)],
    })),
  };
}

function verdict({ mean, halfWidth }: MeanInterval): string {
  if (halfWidth === null) return 'unknown';
  return Math.abs(mean) > halfWidth ? 'yes' : 'no';
}

export function nameOf({ arm, subject }: ArmSummary, { arms }: Pick<Comparison, 'arms'>): string {
  if (subject === 'federated') return arm;
  return subject === 'base' || arm === arms[0] ? subject : `${arm}: ${subject}`;
}

/** `51.2 % ± 3.1`. */
export function scoreText(metric: string, value: MeanInterval | null): string {
  if (value === null) return '–';
  const { mean, halfWidth } = value;
  return halfWidth === null
    ? formatScore(metric, mean)
    : `${formatScore(metric, mean)} ± ${width(metric, halfWidth)}`;
}

function differenceText(metric: string, { mean, halfWidth }: MeanInterval): string {
  const sign = mean < 0 ? '−' : '+';
  const points = isShare(metric) ? ' points' : '';
  return `${sign}${width(metric, Math.abs(mean))}${halfWidth === null ? '' : ` ± ${width(metric, halfWidth)}`}${points}`;
}

function width(metric: string, value: number): string {
  return isShare(metric) ? (100 * value).toFixed(1) : value.toFixed(3);
}

const DETECTORS = [
  ['watch', 'watch'],
  ['s2Wef', 's2_wef'],
  ['wef', 'wef'],
  ['owners', 'owners'],
] as const;
const MEASURES = ['precision', 'recall', 'f1', 'falseAlarms'] as const;

const COLUMNS: readonly (readonly [string, (row: ArmSummary) => number | string | null])[] = [
  ['arm', ({ arm }) => arm],
  ['subject', ({ subject }) => subject],
  ['seeds', ({ seeds }) => seeds.join(' ')],
  ...interval('score', ({ pooled }) => pooled),
  ...interval('own', ({ own }) => own),
  ...interval('loss', ({ loss }) => loss),
  ...interval('difference', ({ difference }) => difference),
  ['tokens_seen', ({ tokensSeen }) => tokensSeen?.mean ?? null],
  ['up_bytes', ({ upBytes }) => upBytes],
  ['down_bytes', ({ downBytes }) => downBytes],
  ['client_memory_bytes', ({ clientMemoryBytes }) => clientMemoryBytes],
  ['rounds', ({ rounds }) => rounds],
  ['seconds', ({ seconds }) => seconds],
  ['aggregation_error', ({ aggregationError }) => aggregationError],
  ['averaging_error', ({ averagingError }) => averagingError],
  ...DETECTORS.flatMap(([key, name]) =>
    MEASURES.map((measure): (typeof COLUMNS)[number] => [
      `${name}_${measure}`,
      ({ detection }) => detection?.[key][measure] ?? null,
    ]),
  ),
];

function interval(name: string, of: (row: ArmSummary) => MeanInterval | null): (typeof COLUMNS)[number][] {
  return [
    [`${name}_mean`, (row) => of(row)?.mean ?? null],
    [`${name}_half_width`, (row) => of(row)?.halfWidth ?? null],
  ];
}

export function summaryCsv({ rows, metric }: Comparison): string {
  const head = ['metric', ...COLUMNS.map(([name]) => name)];
  return csv([head, ...rows.map((row) => [metric, ...COLUMNS.map(([, of]) => of(row))])]);
}

export function cellsCsv({ cells }: Comparison): string {
  const metrics = [...new Set(cells.flatMap(({ test }) => Object.keys(test ?? {})))].sort();
  const fixed = [
    'arm',
    'seed',
    'status',
    'own',
    'upBytes',
    'downBytes',
    'rounds',
    'tokensSeen',
    'seconds',
    'params',
  ] as const;
  const rows = cells.map((cell) => [
    ...fixed.map((key) => cell[key]),
    ...metrics.map((id) => cell.test?.[id] ?? null),
  ]);
  return csv([[...fixed, ...metrics], ...rows]);
}

function csv(rows: readonly (readonly (string | number | null)[])[]): string {
  return rows.map((row) => `${row.map(field).join(',')}\n`).join('');
}

/** RFC 4180. */
function field(value: string | number | null): string {
  const text = value === null ? '' : String(value);
  return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
