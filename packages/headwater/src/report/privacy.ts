/** What clipping and noise did in a run, as a section of its report: the sentence that says what they are worth first. */

import { significant } from '../base/format.ts';
import type { Metric } from '../runs/metrics.ts';
import type { RunResults } from '../runs/results.ts';
import type { Section, TableBlock } from './page.ts';

/** Nothing for runs without. */
export function privacySections(results: RunResults, metrics: readonly Metric[]): Section[] {
  return [...clientSections(results, metrics), ...exampleSections(results)];
}

function exampleSections({ examplePrivacy }: RunResults): Section[] {
  if (examplePrivacy === undefined) return [];
  const { stamp, statement, owners } = examplePrivacy;
  const table: TableBlock = {
    caption: 'By owner: how its steps drew examples and the noise in them',
    head: ['owner', 'sampling rate', 'noise multiplier', 'steps of a training', 'trainings'],
    rows: owners.map(({ owner, samplingRate, noiseMultiplier, steps, trainings }) => ({
      cells: [
        owner,
        significant(samplingRate),
        significant(noiseMultiplier),
        String(steps),
        String(trainings),
      ],
    })),
    numeric: true,
  };
  return [
    {
      title: stamp === null ? 'Privacy of examples' : `Privacy of examples (${stamp})`,
      blocks: [
        { kind: 'notes', notes: [statement] },
        { kind: 'table', ...table },
      ],
    },
  ];
}

function clientSections({ privacy }: RunResults, metrics: readonly Metric[]): Section[] {
  if (privacy === undefined) return [];
  return [
    {
      title: privacy.stamp === null ? 'Privacy' : `Privacy (${privacy.stamp})`,
      blocks: [
        { kind: 'notes', notes: [privacy.statement] },
        { kind: 'table', ...roundTable(metrics) },
      ],
    },
  ];
}

function roundTable(metrics: readonly Metric[]): TableBlock {
  const rounds = metrics.flatMap((metric) =>
    metric.type === 'round' && metric.privacy !== undefined ? [{ ...metric, privacy: metric.privacy }] : [],
  );
  return {
    caption:
      'By round: updates that were clipped, the median of their norms before, the norms of what was released and of the noise in it',
    head: [
      'round',
      'clip norm',
      'clipped',
      'median norm',
      'mean of clipped',
      'noise',
      'noise / signal',
      'noise a coordinate',
    ],
    rows: rounds.map(({ round, privacy }) => ({
      cells: [
        String(round),
        number(privacy.clipNorm),
        privacy.clippedShare === null ? '–' : `${(100 * privacy.clippedShare).toFixed(0)} %`,
        number(privacy.medianNorm),
        number(privacy.observed?.signalNorm ?? null),
        number(privacy.observed?.noiseNorm ?? null),
        number(privacy.noiseToSignal),
        number(privacy.noiseStd),
      ],
    })),
    numeric: true,
  };
}

function number(value: number | null): string {
  return value === null ? '–' : significant(value);
}
