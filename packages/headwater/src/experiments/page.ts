/** A comparison as a report page: the table, what it means, curves, the front, every cell. Words and order; no HTML. */

import { formatBytes, formatCount, formatDuration } from '../base/format.ts';
import { formatScore, metricLabel } from '../report/metrics.ts';
import type { Block, Chart, ReportPage, Section, TableBlock } from '../report/page.ts';
import type { CellFigures, Comparison } from './comparison.ts';
import { armCurves, bytesQualityFront } from './curves.ts';
import type { StoredCell } from './stored.ts';
import { detectionTable, differenceTable, summaryTable } from './table.ts';

export function experimentPage(
  comparison: Comparison,
  cells: readonly StoredCell[],
  source: string,
): ReportPage {
  const { name, description, arms, seeds } = comparison;
  const finished = comparison.cells.filter(({ status }) => status === 'finished').length;
  const state =
    finished === comparison.cells.length
      ? ''
      : ` ${finished} of ${comparison.cells.length} cells are finished.`;
  const headwater = cells[0]?.results.environment.headwater ?? '';
  return {
    title: name,
    lead: `${description ?? ''} ${arms.length} arms, ${seeds.length} seed${seeds.length === 1 ? '' : 's'}.${state}`.trim(),
    sections: [
      resultSection(comparison),
      ...chartSection('Bytes and quality', bytesQualityFront(comparison)),
      ...chartSection(
        'Curves',
        armCurves(
          comparison,
          cells.filter(({ results }) => results.status === 'finished'),
        ),
      ),
      { title: 'Every cell', blocks: [{ kind: 'table', ...cellTable(comparison) }] },
      {
        title: 'Experiment',
        blocks: [...machineNotes(cells), { kind: 'code', summary: 'The experiment file', code: source }],
      },
    ],
    footer: `Headwater ${headwater}. Everything on this page comes from the journals of the runs; headwater compare makes it again.`,
  };
}

function detectionBlocks(comparison: Comparison): Block[] {
  const table = detectionTable(comparison);
  if (table === undefined) return [];
  return [
    {
      kind: 'table',
      caption: 'Who was named a free-rider, over owners and rounds',
      ...table,
      numeric: false,
    },
  ];
}

function resultSection(comparison: Comparison): Section {
  const { head, rows } = summaryTable(comparison);
  const difference = differenceTable(comparison);
  const blocks: Block[] = [
    {
      kind: 'table',
      caption: 'Mean over seeds on the pooled test, and what it took',
      head,
      rows,
      numeric: true,
    },
    ...detectionBlocks(comparison),
    { kind: 'notes', notes: comparison.notes },
  ];
  if (difference !== undefined)
    blocks.push({
      kind: 'table',
      caption: `Difference to ${comparison.arms[0]}, seed by seed, with the 95 % interval of the mean difference`,
      ...difference,
      numeric: true,
    });
  return { title: 'Results', blocks };
}

function chartSection(title: string, charts: readonly Chart[]): Section[] {
  return charts.length === 0
    ? []
    : [{ title, blocks: charts.map((chart): Block => ({ kind: 'chart', chart })) }];
}

function cellTable({ cells, metric }: Comparison): TableBlock {
  return {
    caption: 'One run each; the folder of a run has its own report',
    head: [
      'arm',
      'seed',
      metricLabel(metric),
      'own tests',
      'loss',
      'tokens',
      'up',
      'down',
      'rounds',
      'time',
      'state',
    ],
    rows: cells.map((cell) => ({ cells: cellRow(cell, metric) })),
    numeric: true,
    lastIsText: true,
  };
}

function cellRow(cell: CellFigures, metric: string): string[] {
  const { arm, seed, test, own, tokensSeen, upBytes, downBytes, rounds, seconds, status } = cell;
  return [
    arm,
    String(seed),
    formatScore(metric, test?.[metric]),
    formatScore(metric, own),
    formatScore('loss', test?.loss),
    formatCount(tokensSeen),
    formatBytes(upBytes),
    formatBytes(downBytes),
    formatCount(rounds),
    formatDuration(1000 * seconds),
    status,
  ];
}

function machineNotes(cells: readonly StoredCell[]): Block[] {
  const machines = new Set(
    cells.map(({ results: { environment: e, recipe } }) =>
      [
        `${e.cpu}, ${e.cores} usable cores, ${formatBytes(e.memoryBytes)}, ${e.platform}`,
        `Node.js ${e.node}, ONNX Runtime ${e.onnxruntime}, device ${recipe.device}, ${recipe.threadsPerSession} thread(s) a session, Headwater ${e.headwater}`,
      ].join('; '),
    ),
  );
  return machines.size === 0 ? [] : [{ kind: 'notes', notes: [...machines] }];
}
