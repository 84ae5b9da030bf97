/** The charts of a run, from its metrics. */

import type { ClientMetric, Metric, RoundMetric, ValidationMetric } from '../runs/metrics.ts';
import type { RunResults } from '../runs/results.ts';
import { isShare, metricLabel } from './metrics.ts';
import type { Chart, Series } from './page.ts';

/** More lines than this tell nothing. */
const MAX_LINES = 20;

export function lossCurves(metrics: readonly Metric[]): Chart[] {
  const rounds = metrics.filter((metric) => metric.type === 'round');
  if (rounds.length === 0) return [];
  const mean: Chart = {
    title: 'Training loss',
    note: 'Mean over the clients of a round, nats per supervised token.',
    kind: 'line',
    xLabel: 'round',
    x: rounds.map(({ round }) => round),
    series: [{ label: 'federated clients', values: rounds.map(({ meanLoss }) => meanLoss) }],
    format: 'number',
    zero: true,
  };
  const clients = metrics.filter((metric) => metric.type === 'client');
  return [mean, ...clientCurves(clients, rounds)];
}

function clientCurves(clients: readonly ClientMetric[], rounds: readonly RoundMetric[]): Chart[] {
  const owners = [...new Set(clients.map(({ owner }) => owner))].sort();
  if (owners.length > MAX_LINES) return [];
  const loss = (owner: string, round: number) =>
    clients.find((client) => client.owner === owner && client.round === round)?.meanLoss ?? null;
  const chart: Chart = {
    title: 'Training loss of each client',
    kind: 'line',
    xLabel: 'round',
    x: rounds.map(({ round }) => round),
    series: owners.map((owner) => ({ label: owner, values: rounds.map(({ round }) => loss(owner, round)) })),
    format: 'number',
    zero: true,
  };
  return [chart];
}

/** Main metric and loss on the validation set by round, and the main metric by owner. */
export function validationCurves(metrics: readonly Metric[], results: RunResults): Chart[] {
  const validations = metrics.filter((metric) => metric.type === 'validation');
  if (validations.length === 0) return [];
  const { mainMetric, chance } = results.facts;
  const guess = chance[mainMetric];
  // Tasks that let the model write may be done on test rows alone.
  const told = validations.some(({ pooled }) => typeof pooled[mainMetric] === 'number');
  const main = chartOf(validations, mainMetric, guess === undefined ? [] : [['chance', guess]]);
  const loss = mainMetric === 'loss' ? [] : [chartOf(validations, 'loss', [])];
  return [...(told ? [main] : []), ...loss, ...ownerCurves(validations, told ? mainMetric : 'loss')];
}

function chartOf(
  validations: readonly ValidationMetric[],
  metric: string,
  references: readonly (readonly [label: string, value: number])[],
): Chart {
  const lines = references.map(
    ([label, value]): Series => ({ label, values: validations.map(() => value), reference: true }),
  );
  return {
    title: `Validation ${metricLabel(metric)}`,
    note: `On ${validations[0]?.numExamples} validation rows, after each validated round; round 0 is the starting point.`,
    kind: 'line',
    xLabel: 'round',
    x: validations.map(({ round }) => round),
    series: [
      { label: 'federated', values: validations.map(({ pooled }) => pooled[metric] ?? null) },
      ...lines,
    ],
    format: isShare(metric) ? 'percent' : 'number',
    zero: true,
  };
}

function ownerCurves(validations: readonly ValidationMetric[], metric: string): Chart[] {
  const owners = [...new Set(validations.flatMap(({ owners }) => Object.keys(owners)))].sort();
  if (owners.length < 2 || owners.length > MAX_LINES) return [];
  const chart: Chart = {
    title: `Validation ${metricLabel(metric)} of each owner`,
    note: "The shared model on each owner's own validation rows; small samples jump.",
    kind: 'line',
    xLabel: 'round',
    x: validations.map(({ round }) => round),
    series: owners.map((owner) => ({
      label: owner,
      values: validations.map((validation) => validation.owners[owner]?.scores[metric] ?? null),
    })),
    format: isShare(metric) ? 'percent' : 'number',
    zero: true,
  };
  return [chart];
}

export function byteBars(metrics: readonly Metric[]): Chart[] {
  const rounds = metrics.filter((metric) => metric.type === 'round');
  if (rounds.length === 0) return [];
  const chart: Chart = {
    title: 'Bytes per round',
    note: 'All clients together; what would travel over a network, before transport.',
    kind: 'bars',
    xLabel: 'round',
    x: rounds.map(({ round }) => round),
    series: [
      { label: 'up (updates)', values: rounds.map(({ upBytes }) => upBytes) },
      { label: 'down (model)', values: rounds.map(({ downBytes }) => downBytes) },
    ],
    format: 'bytes',
    zero: true,
  };
  return [chart];
}
