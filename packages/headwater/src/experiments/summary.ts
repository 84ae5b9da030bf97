/** Stored cells → the comparison: for each arm mean and interval over seeds, what it cost, and where arms differ. Pure. */

import { type MeanInterval, meanInterval } from '../base/student-t.ts';
import { comparisonOf } from '../runs/table.ts';
import type { ArmSummary, CellFigures, Comparison } from './comparison.ts';
import { detectionOf } from './detection.ts';
import { fairnessNotes } from './fairness.ts';
import type { Estimates } from './preflight.ts';
import type { Experiment } from './schema.ts';
import type { StoredCell } from './stored.ts';

export interface CompareInput {
  readonly experiment: Pick<Experiment, 'name' | 'description' | 'seeds'>;
  readonly arms: readonly string[];
  readonly cells: readonly StoredCell[];
  readonly estimates: Estimates;
}

const BASELINES = ['base', 'local-only, mean', 'centralised'];

export function compareCells({ experiment, arms, cells, estimates }: CompareInput): Comparison {
  const { name, description = null, seeds } = experiment;
  const finished = cells.filter(({ results }) => results.status === 'finished');
  const facts = cells[0]?.results.facts;
  const metric = facts?.mainMetric ?? 'loss';
  const context = { metric, finished, first: arms[0]!, estimates };
  const rows = [
    ...baselineRows(context, arms),
    ...arms.map((arm) => rowOf(context, arm, 'federated')).filter(({ seeds: own }) => own.length > 0),
  ];
  const figures = arms.flatMap((arm) => seeds.map((seed) => figuresOf(arm, seed, metric, cells)));
  return {
    format: 1,
    name,
    description,
    metric,
    higherIsBetter: facts?.metrics.find(({ id }) => id === metric)?.higherIsBetter ?? false,
    chance: facts?.chance[metric] ?? null,
    interval: '95 % Student t over seeds',
    arms,
    seeds,
    rows,
    cells: figures,
    notes: fairnessNotes({ arms, cells: finished, figures, rows, metric }),
  };
}

interface Context {
  readonly metric: string;
  readonly finished: readonly StoredCell[];
  readonly first: string;
  readonly estimates: Estimates;
}

/** The base model once; other baselines by the arm that trained them. */
function baselineRows(context: Context, arms: readonly string[]): ArmSummary[] {
  return arms.flatMap((arm, i) =>
    BASELINES.filter((subject) => i === 0 || subject !== 'base')
      .map((subject) => rowOf(context, arm, subject))
      .filter(({ pooled }) => pooled !== null),
  );
}

function rowOf({ metric, finished, first, estimates }: Context, arm: string, subject: string): ArmSummary {
  const own = finished.filter((cell) => cell.arm === arm);
  const mean = (of: (cell: StoredCell) => number) => meanInterval(own.map(of))?.mean ?? null;
  const federated = subject === 'federated';
  const score = (cell: StoredCell, id = metric) => rowIn(cell, subject, id)?.pooled ?? null;
  const reference = (seed: number) => finished.find((cell) => cell.arm === first && cell.seed === seed);
  const differences = own.map((cell) => {
    const other = reference(cell.seed);
    const [value, held] = [
      score(cell),
      other === undefined ? null : (rowIn(other, 'federated', metric)?.pooled ?? null),
    ];
    return value === null || held === null ? null : value - held;
  });
  return {
    arm,
    subject,
    seeds: own.map(({ seed }) => seed),
    pooled: intervalOf(own.map((cell) => score(cell))),
    own: intervalOf(own.map((cell) => rowIn(cell, subject, metric)?.ownMean ?? null)),
    loss: intervalOf(own.map((cell) => score(cell, 'loss'))),
    difference: federated && arm === first ? null : intervalOf(differences),
    tokensSeen: intervalOf(
      own.map((cell) => rowIn(cell, subject, metric)?.tokensSeen ?? tokensOf(cell, federated)),
    ),
    upBytes: federated ? mean(({ results }) => results.bytes.up) : null,
    downBytes: federated ? mean(({ results }) => results.bytes.down) : null,
    rounds: federated ? mean(({ results }) => results.rounds.run) : null,
    seconds: federated ? mean(({ results }) => results.timing.wallSeconds) : null,
    clientMemoryBytes: federated ? (estimates.get(arm)?.client.memory.total ?? null) : null,
    aggregationError: federated ? roundFigure(own, 'aggregationError') : null,
    averagingError: federated ? roundFigure(own, 'averagingError') : null,
    ...(finished.some(({ results }) => results.freeRiders !== undefined)
      ? { detection: federated ? detectionOf(own) : null }
      : {}),
  };
}

/** Mean over all rounds that have it, of all cells. */
function roundFigure(cells: readonly StoredCell[], name: string): number | null {
  const values = cells.flatMap(({ metrics }) =>
    metrics.flatMap((metric) => (metric.type === 'round' ? [metric.figures?.[name]] : [])),
  );
  return meanInterval(values.filter((value) => value !== undefined))?.mean ?? null;
}

/** Without test data there is no comparison, but tokens were seen all the same. */
function tokensOf({ results }: StoredCell, federated: boolean): number | null {
  return federated ? results.federated.tokensSeen : null;
}

function rowIn({ results }: StoredCell, subject: string, metric: string) {
  return comparisonOf(results, metric)?.rows.find(({ label }) => label === subject);
}

function intervalOf(values: readonly (number | null)[]): MeanInterval | null {
  const known = values.filter((value) => value !== null);
  return meanInterval(known) ?? null;
}

function figuresOf(arm: string, seed: number, metric: string, cells: readonly StoredCell[]): CellFigures {
  const cell = cells.find((item) => item.arm === arm && item.seed === seed);
  const nothing = { test: null, own: null, upBytes: 0, downBytes: 0, rounds: 0, tokensSeen: 0, seconds: 0 };
  if (cell === undefined) return { arm, seed, status: 'missing', failure: null, ...nothing, params: null };
  const { status, failure, federated, bytes, rounds, timing, params } = cell.results;
  return {
    arm,
    seed,
    status,
    failure,
    test: federated.test?.pooled ?? null,
    own: rowIn(cell, 'federated', metric)?.ownMean ?? null,
    upBytes: bytes.up,
    downBytes: bytes.down,
    rounds: rounds.run,
    tokensSeen: federated.tokensSeen,
    seconds: timing.wallSeconds,
    params,
  };
}
