/** Several runs side by side: their curves over a common axis, and where their recipes differ. Pure. */

import { isShare, metricName } from '../../shared/format.ts';
import type { ChartProps } from '../parts/chart.tsx';
import { type RunView, testsOf, validationsOf } from './run-view.ts';

export type Axis = 'round' | 'bytes' | 'time';

export interface Named {
  readonly run: string;
  readonly view: RunView;
}

/** Charts of every metric that any of them has. */
export function comparedCurves(runs: readonly Named[], axis: Axis): ChartProps[] {
  const metrics = new Set(
    runs
      .flatMap(({ view }) => [view.frame?.mainMetric ?? 'loss', 'loss'])
      .filter((metric) => anyHas(runs, metric)),
  );
  const validation = [...metrics].map((metric) =>
    chartOf(
      `Validation ${metricName(metric).toLowerCase()}`,
      axis,
      isShare(metric) ? 'percent' : 'number',
      runs,
      ({ view }) => validationsOf(view).map(({ round, row }) => [round, row.pooled[metric] ?? null]),
    ),
  );
  const training = chartOf('Training loss', axis, 'number', runs, ({ view }) =>
    view.rounds.map(({ round, meanLoss }) => [round, meanLoss]),
  );
  return [...validation, training].filter(({ x }) => x.length > 0);
}

function anyHas(runs: readonly Named[], metric: string): boolean {
  return runs.some(({ view }) =>
    validationsOf(view).some(({ row }) => typeof row.pooled[metric] === 'number'),
  );
}

type Points = readonly (readonly [round: number, value: number | null])[];

function chartOf(
  title: string,
  axis: Axis,
  format: ChartProps['format'],
  runs: readonly Named[],
  pointsOf: (run: Named) => Points,
): ChartProps {
  const lines = runs.map((named) => ({
    label: named.run,
    points: new Map(
      pointsOf(named)
        .filter(([, value]) => value !== null)
        .map(([round, value]) => [placeOf(named.view, round, axis), value]),
    ),
  }));
  const x = [...new Set(lines.flatMap(({ points }) => [...points.keys()]))].sort((a, b) => a - b);
  return {
    title,
    xLabel: { round: 'round', bytes: 'bytes up', time: 'time since the start' }[axis],
    ...(axis === 'round' ? {} : { xFormat: axis === 'bytes' ? ('bytes' as const) : ('duration' as const) }),
    x,
    series: lines.map(({ label, points }) => ({ label, values: x.map((at) => points.get(at) ?? null) })),
    format,
  };
}

/** Where the end of a round lies; round 0 is the start. */
function placeOf({ rounds, frame }: RunView, round: number, axis: Axis): number {
  if (axis === 'round') return round;
  const before = rounds.filter((row) => row.round <= round);
  if (axis === 'bytes') return before.reduce((sum, { upBytes }) => sum + upBytes, 0);
  const last = before.at(-1);
  if (last === undefined) return 0;
  const { training, aggregating, validating } = last.phaseMs;
  return last.openedMs - (frame?.startedMs ?? last.openedMs) + training + aggregating + validating;
}

export function testScore(view: RunView, subject: string, metric: string): number | null {
  return testsOf(view).find((test) => test.subject === subject)?.row.pooled[metric] ?? null;
}

export interface Difference {
  readonly key: string;
  /** One per recipe. */
  readonly values: readonly string[];
}

/** Keys in which the recipes differ, as paths; places of files and words say nothing about a run. */
export function differences(recipes: readonly unknown[]): Difference[] {
  const flat = recipes.map((recipe) => new Map(flattened('', recipe)));
  const keys = [...new Set(flat.flatMap((map) => [...map.keys()]))].sort();
  return keys
    .map((key) => ({ key, values: flat.map((map) => map.get(key) ?? '–') }))
    .filter(({ key, values }) => new Set(values).size > 1 && !/^(name|description)$/.test(key));
}

function flattened(path: string, value: unknown): [string, string][] {
  if (value === null || typeof value !== 'object') return [[path, String(value)]];
  if (Array.isArray(value) && value.every((item) => item === null || typeof item !== 'object'))
    return [[path, value.join(', ')]];
  return Object.entries(value).flatMap(([key, inner]) =>
    flattened(path === '' ? key : `${path}.${key}`, inner),
  );
}
