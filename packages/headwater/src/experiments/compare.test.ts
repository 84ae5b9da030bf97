/** A real experiment of two arms and two seeds on the smallest run, and what is refused before anything starts. */

import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { type SmallRun, smallRun } from '../../test/support/small-run.ts';
import { removeRun } from '../cli/remove-run.ts';
import { type CellProgress, type ComparedExperiment, compareExperiment } from './run-experiment.ts';
import { summaryTable } from './table.ts';
import { exportTensorboard } from './tensorboard.ts';

// Whole runs, on machines that may have other things to do.
vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

let small: SmallRun;
let file: string;
let compared: ComparedExperiment;

const EXPERIMENT = {
  name: 'two',
  base: 'recipe.yaml',
  set: { workers: 1 },
  arms: [{ name: 'fedavg' }, { name: 'ffa', set: { 'federation.method': { kind: 'ffa-lora' } } }],
  seeds: [3, 4],
};

function write(name: string, experiment: object): string {
  const path = join(small.root, name);
  writeFileSync(path, JSON.stringify(experiment, null, 1));
  return path;
}

beforeAll(async () => {
  small = smallRun();
  file = write('two.yaml', EXPERIMENT);
  compared = await compareExperiment(file, { out: small.out('two') });
});
afterAll(() => small.remove());

describe('a real experiment', () => {
  it('has a run for each arm and seed, and files made from them', () => {
    expect(readdirSync(compared.folder).sort()).toEqual([
      'cells',
      'cells.csv',
      'experiment.yaml',
      'report.html',
      'results.json',
      'summary.csv',
    ]);
    expect(readdirSync(join(compared.folder, 'cells', 'ffa'))).toEqual(['seed-3', 'seed-4']);
    expect(JSON.parse(readFileSync(compared.files.results, 'utf8'))).toEqual(
      JSON.parse(JSON.stringify(compared.comparison)),
    );
  });

  it('compares the arms by mean and interval over the seeds, with half the bytes for half the factors', () => {
    const { rows, cells } = compared.comparison;
    const [fedavg, ffa] = ['fedavg', 'ffa'].map((arm) =>
      rows.find((row) => row.arm === arm && row.subject === 'federated'),
    );
    const losses = cells.filter(({ arm }) => arm === 'fedavg').map(({ test }) => test!.loss!);
    expect(fedavg!.loss!.mean).toBeCloseTo((losses[0]! + losses[1]!) / 2, 12);
    expect(fedavg!.loss!.halfWidth).toBeCloseTo((12.7062 * Math.abs(losses[0]! - losses[1]!)) / 2, 4);
    expect(ffa!.upBytes! / fedavg!.upBytes!).toBeLessThan(0.65);
    expect(ffa!.difference).not.toBeNull();
    expect(fedavg!.difference).toBeNull();
    expect(fedavg!.clientMemoryBytes).toBeGreaterThan(2e8);
  });

  it('shows what averaging both factors loses beside what averaging one of them does', () => {
    const { rows, notes } = compared.comparison;
    const [fedavg, ffa] = ['fedavg', 'ffa'].map((arm) =>
      rows.find((row) => row.arm === arm && row.subject === 'federated'),
    );
    const rounds = ['seed-3', 'seed-4'].flatMap((seed) =>
      readFileSync(join(compared.folder, 'cells', 'fedavg', seed, 'metrics.jsonl'), 'utf8')
        .split('\n')
        .filter((line) => line.includes('"type":"round"'))
        .map((line) => JSON.parse(line).figures),
    );
    expect(rounds.length).toBeGreaterThan(1);
    const mean = rounds.reduce((sum, { averagingError }) => sum + averagingError, 0) / rounds.length;
    expect(mean).toBeGreaterThan(0);
    expect(fedavg!.averagingError).toBeCloseTo(mean, 12);
    // With a server learning rate of 1 FedAvg loses exactly what averaging loses, up to the rounding of its sums.
    expect(fedavg!.aggregationError! / mean).toBeCloseTo(1, 2);
    expect(ffa!.aggregationError).toBeNull();
    const { head } = summaryTable(compared.comparison);
    expect(head).toContain('aggregation error');
    expect(notes.join(' ')).toContain('Aggregation error is how far');
  });

  it('trains the baselines beside the first arm only', () => {
    const subjects = compared.comparison.rows.map(({ arm, subject }) => `${arm} ${subject}`);
    expect(subjects).toEqual([
      'fedavg base',
      'fedavg local-only, mean',
      'fedavg centralised',
      'fedavg federated',
      'ffa federated',
    ]);
  });

  it('says that data and budget were the same', () => {
    const notes = compared.comparison.notes.join(' ');
    expect(notes).toContain('every arm had the same owners, training examples, test rows and base model');
    expect(notes).toMatch(/Every arm trained on \d+ tokens, in 4 sequential steps/);
    expect(notes).toContain('over 2 seeds (t = 12.71)');
  });

  it('writes a CSV whose rows are as long as its head', () => {
    const lines = readFileSync(compared.files.cells, 'utf8').trimEnd().split('\n');
    expect(lines).toHaveLength(5);
    for (const line of lines) expect(line.split(',')).toHaveLength(lines[0]!.split(',').length);
  });

  it('is stored: again, nothing runs and the files are the same', async () => {
    const before = readFileSync(compared.files.report, 'utf8');
    const seen: CellProgress['type'][] = [];
    const again = await compareExperiment(file, {
      out: compared.folder,
      onCell: ({ type }) => seen.push(type),
    });
    expect(seen).toEqual(['stored', 'stored', 'stored', 'stored']);
    expect(again.comparison).toEqual(compared.comparison);
    expect(readFileSync(compared.files.report, 'utf8')).toBe(before);
  });

  it('gives TensorBoard a folder a run', async () => {
    const files = await exportTensorboard(compared.folder, small.out('events'));
    expect(files).toHaveLength(4);
    expect(existsSync(join(small.out('events'), 'ffa', 'seed-4'))).toBe(true);
  });
});

it('a stored cell of another recipe is refused by name, and run anew when asked', async () => {
  const changed = write('changed.yaml', {
    ...EXPERIMENT,
    arms: [EXPERIMENT.arms[0], { name: 'ffa', set: { 'federation.method': { kind: 'rolora' } } }],
    seeds: [3],
  });
  await expect(compareExperiment(changed, { out: compared.folder })).rejects.toMatchObject({
    code: 'RUN_EXISTS',
    message: expect.stringMatching(/a stored cell .*\n {2}cells.ffa.seed-3: federation\.method\.kind/),
  });
  const removed: string[] = [];
  const seen: string[] = [];
  const { comparison } = await compareExperiment(changed, {
    out: compared.folder,
    remove: async (folder) => {
      removed.push(folder);
      await removeRun(folder);
    },
    onCell: ({ type, cell }) => seen.push(`${type} ${cell.arm}`),
  });
  expect(removed).toEqual([join(compared.folder, 'cells', 'ffa', 'seed-3')]);
  expect(seen).toEqual(['stored fedavg', 'begins ffa']);
  const results = JSON.parse(readFileSync(join(removed[0]!, 'results.json'), 'utf8'));
  expect(results.recipe.federation.method.kind).toBe('rolora');
  expect(comparison.cells.map(({ status }) => status)).toEqual(['finished', 'finished']);
});

it('stopped in the middle, it keeps what is finished and goes on with the rest', async () => {
  const out = small.out('stopped');
  const controller = new AbortController();
  const stop = ({ position }: CellProgress) => position === 2 && controller.abort();
  const one = write('one.yaml', { ...EXPERIMENT, seeds: [3], baselines: 'none' });
  await expect(
    compareExperiment(one, { out, onCell: stop, signal: controller.signal }),
  ).rejects.toMatchObject({
    code: 'INTERRUPTED',
  });
  expect(readFileSync(join(out, 'results.json'), 'utf8')).toContain('1 of 2 cells are not finished');
  const seen: string[] = [];
  await compareExperiment(one, { out, onCell: ({ type, cell }) => seen.push(`${type} ${cell.arm}`) });
  expect(seen).toEqual(['stored fedavg', 'begins ffa']);
});

describe('mistakes', () => {
  it('are told together, at the line of the setting or of the base', async () => {
    const bad = join(small.root, 'bad.yaml');
    writeFileSync(
      bad,
      [
        'name: bad',
        'base: recipe.yaml',
        'arms:',
        '  - name: a',
        '    set:',
        '      federation.method: { kind: fedprx }',
        '  - name: b',
        '    set: { training.batchSiz: 3 }',
        'grid:',
        '  tuning.rank: [2, x]',
      ].join('\n'),
    );
    await expect(compareExperiment(bad)).rejects.toMatchObject({
      code: 'RECIPE_INVALID',
      message: [
        '3 mistakes',
        `  ${bad}:6:34  federation.method.kind: unknown federated method "fedprx"; did you mean "fedprox"?`,
        `  ${bad}:8:12  training.batchSiz: unknown key; did you mean "batchSize"?`,
        `  ${bad}:10:20  tuning.rank: expected a whole number > 0, got "x"`,
      ].join('\n'),
    });
  });

  it('of method and tuning are told for all arms before anything is written', async () => {
    const arms = [
      { name: 'fine' },
      { name: 'no-factors', set: { 'federation.method': { kind: 'ffa-lora' }, tuning: { kind: 'full' } } },
      { name: 'no-biases', set: { tuning: { kind: 'bitfit' } } },
    ];
    const out = small.out('refused');
    const refused = compareExperiment(write('refused.yaml', { ...EXPERIMENT, arms }), { out });
    await expect(refused).rejects.toMatchObject({
      code: 'RECIPE_INVALID',
      message: expect.stringMatching(/^2 arms cannot run.*\n {2}no-factors: .*LoRA.*\n {2}no-biases: /),
    });
    expect(existsSync(out)).toBe(false);
  });
});

it('an arm with other data or another budget is named', async () => {
  mkdirSync(small.out(''), { recursive: true });
  const arms = [
    { name: 'all' },
    { name: 'iid', set: { partition: { kind: 'iid', clients: 2 } } },
    { name: 'long', set: { 'federation.localSteps': 4 } },
  ];
  const path = write('unfair.yaml', { ...EXPERIMENT, arms, seeds: [3], baselines: 'none' });
  const { comparison } = await compareExperiment(path, { out: small.out('unfair') });
  const notes = comparison.notes.join('\n');
  expect(notes).toContain(
    'Not all arms are comparable with all. They had other data or another split of them: iid.',
  );
  expect(notes).toMatch(/did not train on the same number of tokens: all \d+, iid \d+ \(−.*long \d+ \(\+/);
  expect(notes).toContain('One seed: there are no intervals');
});
