/**
 * The comparison that a run is for: base, local-only, federated and centralised on the pooled test sample and on each
 * owner's own. Rows and numbers; how they look is the reader's business. Pure.
 */

import type { ArmResult, RunResults } from './results.ts';

export interface ComparisonRow {
  readonly label: string;
  /** The metric on the pooled test sample. */
  readonly pooled: number | null;
  /** Of `pooled`, where it is one model's. */
  readonly interval?: readonly [low: number, high: number];
  /** Mean over the owners' own tests. */
  readonly ownMean: number | null;
  /** By owner, on the owner's own test. */
  readonly owners: Readonly<Record<string, number | null>>;
  readonly sequentialSteps: number;
  /** Of the whole arm; for local-only all owners together. */
  readonly tokensSeen: number;
}

export interface Comparison {
  readonly metric: string;
  readonly higherIsBetter: boolean;
  readonly chance: number | null;
  readonly numExamples: number;
  /** Size of each owner's own test. */
  readonly ownerExamples: Readonly<Record<string, number>>;
  readonly rows: readonly ComparisonRow[];
}

/** Undefined when there is no test data. `metric`: default the recipe's first. */
export function comparisonOf(
  results: RunResults,
  metric: string = results.facts.mainMetric,
): Comparison | undefined {
  const { test } = results.base;
  if (test === null) return undefined;
  const higherIsBetter = results.facts.metrics.find(({ id }) => id === metric)?.higherIsBetter ?? true;
  const owners = Object.keys(test.owners);
  const local = localRows(results, owners, metric, higherIsBetter);
  return {
    metric,
    higherIsBetter,
    chance: results.facts.chance[metric] ?? null,
    numExamples: test.numExamples,
    ownerExamples: Object.fromEntries(owners.map((owner) => [owner, test.owners[owner]!.numExamples])),
    rows: [
      rowOf('base', results.base, owners, metric),
      ...local,
      rowOf('federated', results.federated, owners, metric),
      ...(results.centralised === null ? [] : [rowOf('centralised', results.centralised, owners, metric)]),
    ],
  };
}

function rowOf(label: string, arm: ArmResult, owners: readonly string[], metric: string): ComparisonRow {
  const own = Object.fromEntries(owners.map((owner) => [owner, ownScore(arm, owner, metric)]));
  return {
    label,
    pooled: arm.test?.pooled[metric] ?? null,
    ...intervalOf(arm, metric),
    ownMean: mean(Object.values(own)),
    owners: own,
    sequentialSteps: arm.sequentialSteps,
    tokensSeen: arm.tokensSeen,
  };
}

/** Mean and best over the owners' models on the pooled test; on an owner's own test its own model stands in both. */
function localRows(
  { localOnly }: RunResults,
  owners: readonly string[],
  metric: string,
  higherIsBetter: boolean,
): ComparisonRow[] {
  const arms = Object.entries(localOnly);
  if (arms.length === 0) return [];
  const own = Object.fromEntries(
    owners.map((owner) => [
      owner,
      localOnly[owner] === undefined ? null : ownScore(localOnly[owner], owner, metric),
    ]),
  );
  const shared = {
    ownMean: mean(Object.values(own)),
    owners: own,
    sequentialSteps: Math.max(...arms.map(([, arm]) => arm.sequentialSteps)),
    tokensSeen: arms.reduce((sum, [, arm]) => sum + arm.tokensSeen, 0),
  };
  const pooled = arms.flatMap(([, arm]) => arm.test?.pooled[metric] ?? []);
  const best = pooled.length === 0 ? null : higherIsBetter ? Math.max(...pooled) : Math.min(...pooled);
  return [
    { label: 'local-only, mean', pooled: mean(pooled), ...shared },
    { label: 'local-only, best', pooled: best, ...shared },
  ];
}

function intervalOf(arm: ArmResult, metric: string): Pick<ComparisonRow, 'interval'> {
  const interval = arm.test?.intervals?.[metric];
  return interval === undefined ? {} : { interval };
}

function ownScore(arm: ArmResult, owner: string, metric: string): number | null {
  return arm.test?.owners[owner]?.scores[metric] ?? null;
}

function mean(values: readonly (number | null)[]): number | null {
  const known = values.filter((value) => value !== null);
  return known.length === 0 ? null : known.reduce((sum, value) => sum + value, 0) / known.length;
}
