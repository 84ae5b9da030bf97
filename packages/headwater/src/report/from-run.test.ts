import { expect, test } from 'vitest';
import type { EvaluationResult } from '../federation/events.ts';
import type { Recipe } from '../recipe/schema.ts';
import type { Metric } from '../runs/metrics.ts';
import type { ArmResult, RunResults } from '../runs/results.ts';
import { comparisonTable } from './comparison-table.ts';
import { reportPage } from './from-run.ts';
import type { Block, Chart } from './page.ts';

function tested(pooled: number, a: number, b: number): EvaluationResult {
  const scores = (exactMatch: number) => ({ exactMatch, loss: 1 - exactMatch });
  return {
    numExamples: 100,
    pooled: scores(pooled),
    owners: { a: { numExamples: 40, scores: scores(a) }, b: { numExamples: 60, scores: scores(b) } },
  };
}

function arm(test: EvaluationResult | null, steps: number, tokensSeen: number): ArmResult {
  return { sequentialSteps: steps, totalSteps: steps, examplesSeen: 0, tokensSeen, test, failure: null };
}

function owner(name: string, numExamples: number) {
  const labels = [{ label: 'x', numExamples }];
  return { owner: name, numExamples, numTokens: 10 * numExamples, numTargets: 0, numLabels: 1, labels };
}

const results: RunResults = {
  format: 1,
  name: 'small',
  status: 'finished',
  failure: null,
  seed: 3,
  owners: [
    { owner: 'a', numExamples: 100, numTokens: 1000, aggregationWeight: 1 },
    { owner: 'b', numExamples: 300, numTokens: 3000, aggregationWeight: 3 },
  ],
  rounds: { planned: 2, run: 2, chosen: 1 },
  params: 'abc',
  base: arm(tested(0, 0, 0), 0, 0),
  federated: arm(tested(0.5, 0.4, 0.6), 10, 4000),
  centralised: arm(tested(0.8, 0.7, 0.9), 20, 4000),
  localOnly: { a: arm(tested(0.1, 0.9, 0), 10, 1900), b: arm(tested(0.2, 0, 0.8), 10, 2100) },
  bytes: { up: 1000, down: 2000 },
  fixedPoint: {
    fractionBits: 30,
    range: 8,
    clamped: 0,
    quantisationErrorBound: 4.66e-10,
    weightRoundingError: 0,
  },
  lostUpdates: [{ round: 2, owner: 'b', reason: 'NaN in "x"' }],
  facts: {
    summary: { owners: [owner('a', 100), owner('b', 300)], total: owner('all', 400) },
    tokenization: {
      numTokenized: 400,
      numTokens: 4000,
      numTargets: 0,
      promptsTruncated: 7,
      completionsTruncated: 0,
      textsTruncated: 0,
      dropped: 0,
      textsChunked: 0,
    },
    heldOut: { test: { numExamples: 100, available: 450, leftOut: 0 } },
    chance: { exactMatch: 1 / 150 },
    metrics: [{ id: 'exactMatch', summary: 'share of examples, 0 to 1', higherIsBetter: true }],
    mainMetric: 'exactMatch',
  },
  recipe: {
    name: 'small',
    model: '/models/tiny',
    device: 'cpu',
    threadsPerSession: 1,
    federation: { method: { kind: 'fedavg' }, keepBest: true },
    tuning: { kind: 'lora' },
  } as unknown as Recipe,
  environment: {
    headwater: '1',
    node: 'v24',
    onnxruntime: '1.30',
    platform: 'linux-x64',
    cpu: 'c',
    cores: 2,
    memoryBytes: 1e9,
  },
  timing: {
    wallSeconds: 61,
    workSeconds: { federated: 1, aggregation: 2, evaluation: 3, baselines: 4, export: 5 },
    restarts: 1,
    peakRssBytes: 5e8,
  },
};

const validation = (round: number, pooled: number): Metric => ({
  type: 'validation',
  round,
  ...tested(pooled, pooled, pooled),
});
const metrics: Metric[] = [validation(0, 0), validation(1, 0.3)];

test('the comparison has the arms in order, shares as per cent, the loss beside, chance at the end', () => {
  const table = comparisonTable(results);
  expect(table?.rows.map(({ cells }) => cells)).toEqual([
    ['base', '0.0 %', '0.0 %', '1.000', '0', '0'],
    ['local-only, mean', '15.0 %', '85.0 %', '0.850', '10', '4,000'],
    ['local-only, best', '20.0 %', '85.0 %', '0.800', '10', '4,000'],
    ['federated', '50.0 %', '50.0 %', '0.500', '10', '4,000'],
    ['centralised', '80.0 %', '80.0 %', '0.200', '20', '4,000'],
    ['chance', '0.7 %', '', '', '', ''],
  ]);
  expect(table?.rows.filter(({ strong }) => strong).map(({ cells }) => cells[0])).toEqual(['federated']);
  expect(table?.notes.join(' ')).toMatch(
    /100 rows \(a stratified sample of 450.*40 to 60.*federated 4,000, centralised 4,000, all local-only models together 4,000/,
  );
});

test('a failed baseline is said, not left out silently', () => {
  const failed = { ...results, centralised: { ...arm(null, 0, 0), failure: 'diverged at step 3' } };
  expect(comparisonTable(failed)?.notes.at(-1)).toBe('centralised failed: diverged at step 3');
});

test('without test data there is no comparison, and the report stands all the same', () => {
  const untested = { ...results, base: arm(null, 0, 0) };
  expect(comparisonTable(untested)).toBeUndefined();
  expect(reportPage(untested, []).sections.map(({ title }) => title)).not.toContain('Results');
});

test('the report tells which round was kept, what was lost, who weighs what', () => {
  const page = reportPage(results, metrics);
  const text = JSON.stringify(page.sections);
  expect(text).toContain('The adapter is that of round 1 of 2 (the lowest validation loss).');
  expect(text).toContain('Round 2: b did not count');
  expect(text).toContain('["b","300","3,000","75.0 %","1","x (300)"]');
  expect(text).toContain('7 prompts lost tokens to maxLength');
  expect(page.lead).toContain(
    'federated 50.0 %; centralised 80.0 %; local-only, best 20.0 %; base 0.0 %; chance 0.7 %',
  );
});

test('validation curves have one value for each round, chance as a line, owners apart', () => {
  const blocks = reportPage(results, metrics).sections.flatMap(({ blocks }): readonly Block[] => blocks);
  const charts = blocks.flatMap((block): Chart[] => (block.kind === 'chart' ? [block.chart] : []));
  expect(charts.map(({ title }) => title)).toEqual([
    'Validation exact match',
    'Validation loss',
    'Validation exact match of each owner',
  ]);
  expect(charts[0]?.series).toEqual([
    { label: 'federated', values: [0, 0.3] },
    { label: 'chance', values: [1 / 150, 1 / 150], reference: true },
  ]);
});
