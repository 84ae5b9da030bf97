/** Charts of a run from its rows: which lines there are and what they are called. Pure; drawing is elsewhere. */

import { isShare, metricName } from '../../shared/format.ts';
import type { ChartProps, Series } from '../parts/chart.tsx';
import { type RunView, testsOf, validationsOf } from './run-view.ts';

/** More lines than this tell nothing. */
export const MOST_LINES = 20;

/** The metric that tables show, where it was measured on validation examples; else their loss. */
export function shownMetric(view: RunView): string {
  const main = view.frame?.mainMetric ?? 'loss';
  return validationsOf(view).some(({ row }) => typeof row.pooled[main] === 'number') ? main : 'loss';
}

export function curvesOf(view: RunView): ChartProps[] {
  return [...validationCurves(view), ...trainingCurves(view), ...trafficCurves(view)];
}

function validationCurves(view: RunView): ChartProps[] {
  const validations = validationsOf(view);
  if (validations.length === 0) return [];
  const main = shownMetric(view);
  const x = validations.map(({ round }) => round);
  const chance = view.frame?.chance[main];
  const guess: Series[] =
    chance === undefined ? [] : [{ label: 'chance', values: x.map(() => chance), reference: true }];
  const curve = (metric: string, more: readonly Series[]): ChartProps => ({
    title: `Validation ${metricName(metric).toLowerCase()}`,
    note: `On ${validations.at(-1)?.row.numExamples} held-out examples; round 0 is the start.`,
    xLabel: 'round',
    x,
    series: [
      { label: 'all owners', values: validations.map(({ row }) => row.pooled[metric] ?? null) },
      ...more,
    ],
    format: isShare(metric) ? 'percent' : 'number',
  });
  return [
    curve(main, guess),
    ...(main === 'loss' ? [] : [curve('loss', [])]),
    ...ownerValidations(view, main),
  ];
}

/** Owners who told nothing have no line. */
function ownerValidations(view: RunView, metric: string): ChartProps[] {
  const validations = validationsOf(view);
  const owners = [...new Set(validations.flatMap(({ row }) => Object.keys(row.owners)))].sort();
  const series = owners
    .map((owner) => ({
      label: owner,
      values: validations.map(({ row }) =>
        Object.hasOwn(row.owners, owner) ? (row.owners[owner]?.scores[metric] ?? null) : null,
      ),
    }))
    .filter(({ values }) => values.some((value) => value !== null));
  if (series.length < 2 || series.length > MOST_LINES) return [];
  const chart: ChartProps = {
    title: `Validation ${metricName(metric).toLowerCase()} by owner`,
    note: 'On each owner’s own examples, as far as it tells; small samples jump.',
    xLabel: 'round',
    x: validations.map(({ round }) => round),
    series,
    format: isShare(metric) ? 'percent' : 'number',
  };
  return [chart];
}

function trainingCurves({ rounds, updates }: RunView): ChartProps[] {
  const trained = rounds.filter(({ meanLoss }) => meanLoss !== null);
  if (trained.length === 0) return [];
  const x = trained.map(({ round }) => round);
  const all: ChartProps = {
    title: 'Training loss',
    note: 'Mean over the clients of a round, nats per token that is learnt.',
    xLabel: 'round',
    x,
    series: [{ label: 'all clients', values: trained.map(({ meanLoss }) => meanLoss) }],
    format: 'number',
  };
  const told = (updates ?? []).filter(({ accepted, meanLoss }) => accepted && meanLoss !== null);
  const losses = new Map(told.map((row) => [`${row.owner} ${row.round}`, row.meanLoss]));
  const owners = [...new Set(told.map(({ owner }) => owner))].sort();
  if (owners.length < 2) return [all];
  const series = owners.map((owner) => ({
    label: owner,
    values: x.map((round) => losses.get(`${owner} ${round}`) ?? null),
  }));
  const own = { ...all, title: 'Training loss by owner', note: 'Of owners that tell it.', series };
  return [all, own];
}

function trafficCurves({ rounds }: RunView): ChartProps[] {
  const closed = rounds.filter(({ phase }) => phase === 'closed');
  if (closed.length === 0) return [];
  const x = closed.map(({ round }) => round);
  const line = (label: string, of: (row: (typeof closed)[number]) => number): Series => ({
    label,
    values: closed.map(of),
  });
  return [
    {
      title: 'Bytes per round',
      note: 'All clients together.',
      xLabel: 'round',
      x,
      series: [line('up (updates)', (row) => row.upBytes), line('down (params)', (row) => row.downBytes)],
      format: 'bytes',
    },
    {
      title: 'Time per round',
      note: 'Training ends when enough updates are there.',
      xLabel: 'round',
      x,
      series: [
        line('training', (row) => row.phaseMs.training),
        line('aggregating', (row) => row.phaseMs.aggregating),
        line('validating', (row) => row.phaseMs.validating),
      ],
      format: 'duration',
    },
  ];
}

export interface TestRow {
  readonly subject: string;
  readonly numExamples: number;
  readonly value: number | null;
  readonly interval: readonly [number, number] | undefined;
  readonly loss: number | null;
}

const ORDER = ['base', 'federated', 'centralised'];

/** What the run came to, on test examples; owners that trained alone come last. */
export function testRows(view: RunView): TestRow[] {
  const metric = view.frame?.mainMetric ?? 'loss';
  const rank = (subject: string) => (ORDER.includes(subject) ? ORDER.indexOf(subject) : ORDER.length);
  return testsOf(view)
    .sort((a, b) => rank(a.subject) - rank(b.subject) || (a.subject < b.subject ? -1 : 1))
    .map(({ subject, row }) => ({
      subject,
      numExamples: row.numExamples,
      value: row.pooled[metric] ?? null,
      interval: row.intervals?.[metric],
      loss: row.pooled.loss ?? null,
    }));
}
