/** All figures of a run's tests as tables: every measure with its interval by arm, the main measure by group, how was asked. */

import type { EvaluationResult } from '../federation/events.ts';
import type { ArmResult, RunResults } from '../runs/results.ts';
import { formatChange, formatInterval, formatScore, metricLabel } from './metrics.ts';
import type { Block } from './page.ts';

interface Arm {
  readonly label: string;
  readonly test: EvaluationResult;
}

/** Empty where nothing but the main measure and the loss was told. */
export function measureBlocks(results: RunResults): Block[] {
  const arms = armsOf(results);
  const ids = toldBy(arms);
  const blocks: Block[] = [];
  if (ids.some((id) => id !== results.facts.mainMetric && id !== 'loss' && id !== 'perplexity'))
    blocks.push(measureTable(results, arms, ids));
  if (arms.some(({ test }) => Object.keys(test.groups ?? {}).length > 0))
    blocks.push(groupTable(results, arms));
  const notes = [...intervalNote(results, arms), ...askedNotes(results)];
  if (notes.length > 0) blocks.push({ kind: 'notes', notes });
  return blocks;
}

/** Local-only models are as many as there are owners; the table of results has them. */
function armsOf({ base, federated, centralised }: RunResults): Arm[] {
  const all: [string, ArmResult | null][] = [
    ['base', base],
    ['federated', federated],
    ['centralised', centralised],
  ];
  return all.flatMap(([label, arm]) => (arm?.test ? [{ label, test: arm.test }] : []));
}

function toldBy(arms: readonly Arm[]): string[] {
  const ids = new Set(arms.flatMap(({ test }) => Object.keys(test.pooled)));
  return [...ids].filter((id) => arms.some(({ test }) => typeof test.pooled[id] === 'number'));
}

function measureTable({ facts }: RunResults, arms: readonly Arm[], ids: readonly string[]): Block {
  const base = arms.find(({ label }) => label === 'base')?.test;
  const compared = new Set(
    facts.metrics.flatMap(({ id, comparedWithBase }) => (comparedWithBase ? [id] : [])),
  );
  const cell = ({ label, test }: Arm, id: string) => {
    const [value, from] = [test.pooled[id], base?.pooled[id]];
    const score = formatScore(id, value) + formatInterval(id, test.intervals?.[id]);
    const changes =
      label !== 'base' && compared.has(id) && typeof value === 'number' && typeof from === 'number';
    return changes ? `${score}, ${formatChange(id, value, from)}` : score;
  };
  return {
    kind: 'table',
    caption: 'All measures on the pooled test; where a change is told, it is that from the base model',
    head: ['', ...arms.map(({ label }) => label)],
    rows: ids.map((id) => ({ cells: [metricLabel(id), ...arms.map((arm) => cell(arm, id))] })),
    numeric: true,
  };
}

function groupTable({ facts: { mainMetric } }: RunResults, arms: readonly Arm[]): Block {
  const groups = [...new Set(arms.flatMap(({ test }) => Object.keys(test.groups ?? {})))].sort();
  const rows = groups.map((group) => {
    const of = arms.map(({ test }) => test.groups?.[group]);
    const numExamples = of.find((found) => found !== undefined)?.numExamples ?? 0;
    const scores = of.map((found) => formatScore(mainMetric, found?.scores[mainMetric]));
    return { cells: [group, String(numExamples), ...scores] };
  });
  return {
    kind: 'table',
    caption: `${metricLabel(mainMetric)} by group`,
    head: ['group', 'test rows', ...arms.map(({ label }) => label)],
    rows,
    numeric: true,
  };
}

function intervalNote({ recipe, seed }: RunResults, arms: readonly Arm[]): string[] {
  if (!arms.some(({ test }) => test.intervals !== undefined)) return [];
  const { confidence, resamples } = recipe.evaluation;
  return [
    `In parentheses ${100 * confidence} % intervals: percentile bootstrap over test rows, ${resamples} resamples, seed ${seed}. They say how far a figure depends on the rows, not on the seed of the training.`,
  ];
}

function askedNotes({ facts }: RunResults): string[] {
  return (facts.tasks ?? []).flatMap(({ kind, options, prompt }) => {
    const settings = JSON.stringify(options);
    if (settings === '{}' && prompt === undefined) return [];
    const first = prompt === undefined ? '' : ` Before the first question: ${JSON.stringify(prompt)}`;
    return [`Task ${kind}: ${settings}.${first}`];
  });
}
