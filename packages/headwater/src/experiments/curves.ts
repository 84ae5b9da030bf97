/** The charts of an experiment: a line and a band over seeds for each arm, and the front of bytes and quality. Pure. */

import { meanInterval } from '../base/student-t.ts';
import { isShare, metricLabel } from '../report/metrics.ts';
import type { Chart, Series } from '../report/page.ts';
import type { Metric } from '../runs/metrics.ts';
import type { ArmSummary, Comparison } from './comparison.ts';
import type { StoredCell } from './stored.ts';

/** Value of a metric at its round; undefined for metrics that are not meant. */
type Point = (metric: Metric) => readonly [round: number, value: number] | undefined;

/** Validation figures and training loss by round. */
export function armCurves({ metric, arms, chance }: Comparison, cells: readonly StoredCell[]): Chart[] {
  const validation =
    (id: string): Point =>
    (item) =>
      item.type === 'validation' && typeof item.pooled[id] === 'number'
        ? [item.round, item.pooled[id]]
        : undefined;
  const training: Point = (item) =>
    item.type === 'round' && item.meanLoss !== null ? [item.round, item.meanLoss] : undefined;
  const reference = chance === null ? [] : [{ label: 'chance', value: chance }];
  return [
    ...curve(arms, cells, validation(metric), titleOf(metric), metric, reference),
    ...(metric === 'loss' ? [] : curve(arms, cells, validation('loss'), titleOf('loss'), 'loss', [])),
    ...curve(arms, cells, training, 'Training loss', 'loss', []),
  ];
}

function titleOf(metric: string): string {
  return `Validation ${metricLabel(metric)}`;
}

function curve(
  arms: readonly string[],
  cells: readonly StoredCell[],
  point: Point,
  title: string,
  metric: string,
  references: readonly { readonly label: string; readonly value: number }[],
): Chart[] {
  const points = cells.flatMap(({ arm, metrics }) =>
    metrics.flatMap((item) => {
      const found = point(item);
      return found === undefined ? [] : [{ arm, round: found[0], value: found[1] }];
    }),
  );
  if (points.length === 0) return [];
  const x = [...new Set(points.map(({ round }) => round))].sort((a, b) => a - b);
  const at = (arm: string, round: number) =>
    meanInterval(points.filter((item) => item.arm === arm && item.round === round).map(({ value }) => value));
  const drawn = arms.filter((arm) => points.some((item) => item.arm === arm));
  const series = drawn.map((arm): Series => {
    const intervals = x.map((round) => at(arm, round));
    return {
      label: arm,
      values: intervals.map((interval) => interval?.mean ?? null),
      band: {
        low: intervals.map((interval) => edge(interval, -1, metric)),
        high: intervals.map((interval) => edge(interval, 1, metric)),
      },
    };
  });
  const lines = references.map(
    ({ label, value }): Series => ({ label, values: x.map(() => value), reference: true }),
  );
  return [
    {
      title,
      note: 'Mean over seeds; the band is the 95 % interval by Student’s t.',
      kind: 'line',
      xLabel: 'round',
      x,
      series: [...series, ...lines],
      format: isShare(metric) ? 'percent' : 'number',
      zero: isShare(metric),
    },
  ];
}

/** An interval of a few seeds may leave the range that shares have; what is drawn does not. */
function edge(interval: ReturnType<typeof meanInterval>, side: 1 | -1, metric: string): number | null {
  if (interval?.halfWidth === null || interval === undefined) return null;
  const value = interval.mean + side * interval.halfWidth;
  return isShare(metric) ? Math.min(1, Math.max(0, value)) : value;
}

interface FrontPoint {
  readonly arm: string;
  readonly bytes: number;
  readonly row: ArmSummary;
  readonly value: number;
}

/** Arms by what travelled, both ways, and by the test metric; the line joins those that no other arm beats in both. */
export function bytesQualityFront(comparison: Comparison): Chart[] {
  const { metric, higherIsBetter, rows } = comparison;
  const points = rows.flatMap((row): FrontPoint[] => {
    const { arm, upBytes, downBytes, pooled } = row;
    if (upBytes === null || downBytes === null || pooled === null) return [];
    return [{ arm, bytes: upBytes + downBytes, row, value: pooled.mean }];
  });
  if (points.length < 2) return [];
  const x = [...new Set(points.map(({ bytes }) => bytes))].sort((a, b) => a - b);
  const place = (point: FrontPoint, value: number | null) =>
    x.map((bytes) => (bytes === point.bytes ? value : null));
  const series = points.map(
    (point): Series => ({
      label: point.arm,
      values: place(point, point.value),
      band: {
        low: place(point, edge(point.row.pooled ?? undefined, -1, metric)),
        high: place(point, edge(point.row.pooled ?? undefined, 1, metric)),
      },
    }),
  );
  const front = frontOf(points, higherIsBetter);
  const line: Series = {
    label: 'front',
    values: x.map((bytes) => front.find((point) => point.bytes === bytes)?.value ?? null),
    line: true,
  };
  return [
    {
      title: `Bytes and ${metricLabel(metric)}`,
      note: 'All that travelled up and down in a run, and the score on the pooled test. Arms on the line are beaten in both by no other arm; bars are intervals over seeds.',
      kind: 'points',
      xLabel: 'bytes up and down',
      x,
      xFormat: 'bytes',
      series: [...series, line],
      format: isShare(metric) ? 'percent' : 'number',
      zero: false,
    },
  ];
}

/** Points that are better than every point with at most as many bytes. */
export function frontOf<P extends { readonly bytes: number; readonly value: number }>(
  points: readonly P[],
  higherIsBetter: boolean,
): P[] {
  const better = (a: number, b: number) => (higherIsBetter ? a > b : a < b);
  return points.filter((point) =>
    points.every(
      (other) =>
        other === point ||
        other.bytes > point.bytes ||
        better(point.value, other.value) ||
        (other.value === point.value && other.bytes === point.bytes),
    ),
  );
}
