/** A run as a report page: what was asked, what came out, how it went, on what. Words and order; no HTML. */

import { formatBytes, formatCount, formatDuration, significant } from '../base/format.ts';
import { recipeToYaml } from '../recipe/write.ts';
import type { Metric } from '../runs/metrics.ts';
import { privaciesOf, type RunResults } from '../runs/results.ts';
import { comparisonOf } from '../runs/table.ts';
import { comparisonTable } from './comparison-table.ts';
import { byteBars, lossCurves, validationCurves } from './curves.ts';
import { freeRiderSections } from './free-riders.ts';
import { measureBlocks } from './measures.ts';
import { formatScore, metricLabel } from './metrics.ts';
import type { Block, Chart, ReportPage, Section, TableBlock } from './page.ts';
import { privacySections } from './privacy.ts';
import { voiceSections } from './voices.ts';

export function reportPage(results: RunResults, metrics: readonly Metric[]): ReportPage {
  const { environment, name } = results;
  return {
    title: name,
    lead: leadOf(results),
    sections: [
      ...resultSections(results),
      ...curveSections(metrics, results),
      dataSection(results),
      ...voiceSections(results, metrics),
      ...freeRiderSections(results),
      ...privacySections(results, metrics),
      trafficSection(results, metrics),
      timeSection(results),
      recipeSection(results),
    ],
    footer: `Headwater ${environment.headwater}. Everything on this page comes from the run's journal; headwater report makes it again.`,
  };
}

function leadOf(results: RunResults): string {
  const { recipe, owners, rounds, status } = results;
  const what = `${recipe.description ?? ''} ${owners.length} owners, ${rounds.run} of ${rounds.planned} rounds of ${recipe.federation.method.kind}, ${recipe.tuning.kind} tuning of ${modelName(recipe.model)}, seed ${results.seed}.`;
  const state =
    status === 'finished'
      ? ''
      : status === 'failed'
        ? ` The run failed: ${results.failure}`
        : ' The run is not finished.';
  const stamp = privaciesOf(results)
    .map(({ statement }) => ` ${statement}`)
    .join('');
  const attacked = results.attack === undefined ? '' : `${results.attack.statement} `;
  return `${attacked}${what.trim()}${verdict(results)}${state}${stamp}`;
}

function verdict(results: RunResults): string {
  const comparison = comparisonOf(results);
  if (comparison === undefined) return '';
  const { metric, rows, chance } = comparison;
  const score = (label: string) => rows.find((row) => row.label === label)?.pooled;
  const parts = ['federated', 'centralised', 'local-only, best', 'base'].flatMap((label) => {
    const value = score(label);
    return value === undefined || value === null ? [] : [`${label} ${formatScore(metric, value)}`];
  });
  if (chance !== null) parts.push(`chance ${formatScore(metric, chance)}`);
  return ` ${capitalised(metricLabel(metric))} on the pooled test: ${parts.join('; ')}.`;
}

function resultSections(results: RunResults): Section[] {
  const table = comparisonTable(results);
  const comparison = comparisonOf(results);
  if (table === undefined || comparison === undefined) return [];
  const { metric, rows, ownerExamples } = comparison;
  const summary = results.facts.metrics.find(({ id }) => id === metric)?.summary ?? metric;
  // Mean and best of local-only are the same on an owner's own test: its own model.
  const columns = rows.filter(({ label }) => label !== 'local-only, best');
  const owners: TableBlock = {
    caption: `${capitalised(metricLabel(metric))} on each owner's own test rows`,
    head: ['owner', 'test rows', ...columns.map(({ label }) => label.replace(', mean', ''))],
    rows: Object.keys(ownerExamples).map((owner) => ({
      cells: [
        owner,
        formatCount(ownerExamples[owner] ?? 0),
        ...columns.map((row) => formatScore(metric, row.owners[owner])),
      ],
    })),
    numeric: true,
  };
  return [
    {
      title: 'Results',
      blocks: [
        {
          kind: 'table',
          caption: `${capitalised(metricLabel(metric))}: ${summary}`,
          head: table.head,
          rows: table.rows,
          numeric: true,
        },
        { kind: 'notes', notes: [...table.notes, ...selectionNotes(results)] },
        { kind: 'table', ...owners },
        ...measureBlocks(results),
      ],
    },
  ];
}

function selectionNotes({ rounds, recipe }: RunResults): string[] {
  if (rounds.chosen === null || rounds.chosen === rounds.run) return [];
  const why = recipe.federation.keepBest ? 'the lowest validation loss' : 'the stopping rule';
  return [`The adapter is that of round ${rounds.chosen} of ${rounds.run} (${why}).`];
}

function curveSections(metrics: readonly Metric[], results: RunResults): Section[] {
  const charts = [...validationCurves(metrics, results), ...lossCurves(metrics)];
  if (charts.length === 0) return [];
  return [{ title: 'Curves', blocks: charts.map(chartBlock) }];
}

function chartBlock(chart: Chart): Block {
  return { kind: 'chart', chart };
}

function dataSection({ facts, owners }: RunResults): Section {
  const { summary, tokenization } = facts;
  const weights = new Map(owners.map(({ owner, aggregationWeight }) => [owner, aggregationWeight]));
  const total = owners.reduce((sum, { aggregationWeight }) => sum + aggregationWeight, 0);
  const labelled = summary.total.numLabels > 0;
  const table: TableBlock = {
    caption: 'Training data by owner',
    head: ['owner', 'examples', 'tokens', 'weight', ...(labelled ? ['labels', 'most frequent'] : [])],
    rows: summary.owners.map(({ owner, numExamples, numTokens, numLabels, labels }) => ({
      cells: [
        owner,
        formatCount(numExamples),
        formatCount(numTokens),
        `${((100 * (weights.get(owner) ?? 0)) / total).toFixed(1)} %`,
        ...(labelled ? [String(numLabels), topLabels(labels)] : []),
      ],
    })),
    numeric: true,
    lastIsText: labelled,
  };
  const { promptsTruncated, completionsTruncated, textsTruncated, dropped } = tokenization;
  const cuts = [
    ...(promptsTruncated > 0 ? [`${formatCount(promptsTruncated)} prompts lost tokens to maxLength.`] : []),
    ...(completionsTruncated > 0
      ? [`${formatCount(completionsTruncated)} completions were cut at maxLength.`]
      : []),
    ...(textsTruncated > 0 ? [`${formatCount(textsTruncated)} texts were cut at maxLength.`] : []),
    ...(dropped > 0 ? [`${formatCount(dropped)} examples were left out: no target remained.`] : []),
    ...Object.entries(facts.heldOut).map(
      ([split, { numExamples, available }]) =>
        `${split}: ${formatCount(numExamples)} of ${formatCount(available)} rows are scored.`,
    ),
  ];
  return {
    title: 'Who holds what',
    blocks: [
      { kind: 'table', ...table },
      { kind: 'notes', notes: cuts },
    ],
  };
}

function topLabels(labels: readonly { readonly label: string; readonly numExamples: number }[]): string {
  return labels
    .slice(0, 3)
    .map(({ label, numExamples }) => `${label} (${numExamples})`)
    .join(', ');
}

function trafficSection(results: RunResults, metrics: readonly Metric[]): Section {
  const { bytes, fixedPoint, lostUpdates } = results;
  const clamped =
    fixedPoint.clamped === 0
      ? 'No coordinate was clamped'
      : `${formatCount(fixedPoint.clamped)} coordinates were clamped to ±${fixedPoint.range}`;
  const notes = [
    `In all ${formatBytes(bytes.up)} up, ${formatBytes(bytes.down)} down.`,
    `Updates are summed as integers in steps of 2^−${fixedPoint.fractionBits}: a mean is off by at most ${significant(fixedPoint.quantisationErrorBound)}. ${clamped}.`,
    ...lostUpdates.map(({ round, owner, reason }) => `Round ${round}: ${owner} did not count: ${reason}`),
    ...emptyNotes(metrics),
  ];
  return {
    title: 'Traffic and aggregation',
    blocks: [...byteBars(metrics).map(chartBlock), { kind: 'notes', notes }],
  };
}

/** An update of zeros is no mistake, and no work either: it is counted. */
function emptyNotes(metrics: readonly Metric[]): string[] {
  const times = new Map<string, number>();
  for (const metric of metrics)
    if (metric.type === 'client' && metric.accepted && metric.updateNorm === 0)
      times.set(metric.owner, (times.get(metric.owner) ?? 0) + 1);
  if (times.size === 0) return [];
  const list = [...times].map(([owner, count]) => `${owner} ${count} time${count === 1 ? '' : 's'}`);
  return [`Updates of nothing but zeros: ${list.join(', ')}.`];
}

const PHASE_NAMES = {
  federated: 'client training',
  aggregation: 'aggregation',
  evaluation: 'validation and tests',
  baselines: 'baselines',
  export: 'writing the result',
} as const;

function timeSection({ timing, environment, recipe }: RunResults): Section {
  const phases = Object.entries(PHASE_NAMES) as [keyof typeof PHASE_NAMES, string][];
  const rows = phases.map(([phase, name]) => ({
    cells: [name, formatDuration(1000 * timing.workSeconds[phase])],
  }));
  const peak = timing.peakRssBytes > 0 ? `, at most ${formatBytes(timing.peakRssBytes)} used by the run` : '';
  const facts: [string, string][] = [
    ['processor', `${environment.cpu}, ${environment.cores} usable cores`],
    ['memory', `${formatBytes(environment.memoryBytes)}${peak}`],
    ['platform', environment.platform],
    ['Node.js', environment.node],
    [
      'ONNX Runtime',
      `${environment.onnxruntime}, device ${recipe.device}, ${recipe.threadsPerSession} thread(s) a session`,
    ],
    ['Headwater', environment.headwater],
  ];
  return {
    title: 'Time and machine',
    blocks: [
      {
        kind: 'table',
        caption: `From start to end ${formatDuration(1000 * timing.wallSeconds)}${timing.restarts > 0 ? `, with ${timing.restarts} restart(s)` : ''}. Time of pieces of work, waiting for a worker included; they run side by side, so the sum is more.`,
        head: ['phase', 'time'],
        rows,
        numeric: true,
      },
      {
        kind: 'table',
        caption: 'Hardware and versions',
        head: ['', ''],
        rows: facts.map((cells) => ({ cells })),
        numeric: false,
      },
    ],
  };
}

function recipeSection({ recipe, facts, params }: RunResults): Section {
  const metricRows = facts.metrics.map(({ id, summary }) => `${metricLabel(id)}: ${summary}`);
  return {
    title: 'Recipe',
    blocks: [
      {
        kind: 'notes',
        notes: [...metricRows, ...(params === null ? [] : [`Digest of the resulting parameters: ${params}`])],
      },
      { kind: 'code', summary: 'The recipe as resolved', code: recipeToYaml(recipe) },
    ],
  };
}

function modelName(model: string): string {
  return model.split(/[\\/]/).at(-1) ?? model;
}

function capitalised(text: string): string {
  return `${text[0]?.toUpperCase() ?? ''}${text.slice(1)}`;
}
