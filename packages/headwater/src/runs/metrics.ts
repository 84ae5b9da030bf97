/**
 * The journal → `metrics.jsonl`: one JSON object a line, in canonical order (not in order of arrival), without times, so
 * that two runs of one recipe write the same file. Pure.
 */

import type { EvaluationResult, RunEvent, Scores } from '../federation/events.ts';
import { replay } from '../federation/machine.ts';
import { hidesCohorts } from '../federation/poisson-cohort.ts';
import type { RunState } from '../federation/state.ts';
import type { TrainingStats } from '../federation/training-stats.ts';
import { type RoundPrivacy, roundPrivacy } from './privacy.ts';

/** A client in a round. Losses in nats per target, sizes in bytes of safetensors. */
export interface ClientMetric extends TrainingStats {
  readonly type: 'client';
  readonly round: number;
  readonly owner: string;
  readonly accepted: boolean;
  /** Why not. */
  readonly reason: string | null;
  /** ‖update‖₂ */
  readonly updateNorm: number | null;
  readonly upBytes: number;
  readonly downBytes: number;
}

/** A closed round. */
export interface RoundMetric {
  readonly type: 'round';
  readonly round: number;
  readonly participants: number;
  /** Mean training loss over the accepted clients, weighted by targets. */
  readonly meanLoss: number | null;
  /** ‖aggregate‖₂ before the server step. */
  readonly aggregateNorm: number;
  /** Coordinates clamped to the fixed-point range, of how many. */
  readonly clamped: number;
  readonly coordinates: number;
  readonly quantisationErrorBound: number;
  /** What the method has to say about the round, by name. */
  readonly figures?: Readonly<Record<string, number>>;
  /** What each owner’s update counted, 1 being its part in the mean, by robust rules that tell owners apart. */
  readonly voices?: Readonly<Record<string, number>>;
  /** Of runs with client-level privacy. */
  readonly privacy?: RoundPrivacy;
  readonly upBytes: number;
  readonly downBytes: number;
  /** Seen by all clients so far. */
  readonly tokensSeen: number;
  readonly params: string;
}

/** Figures on the validation sample after a round (0: at the start). */
export interface ValidationMetric {
  readonly type: 'validation';
  readonly round: number;
  readonly numExamples: number;
  readonly pooled: Scores;
  readonly owners: EvaluationResult['owners'];
}

/** A baseline's training. */
export interface ArmMetric {
  readonly type: 'arm';
  readonly arm: string;
  readonly stats: TrainingStats | null;
  readonly failure: string | null;
}

/** Figures on the test sample: `base`, `federated`, `centralised`, `local-only/OWNER`. */
export interface TestMetric {
  readonly type: 'test';
  readonly subject: string;
  readonly numExamples: number;
  readonly pooled: Scores;
  readonly owners: EvaluationResult['owners'];
}

export type Metric = ClientMetric | RoundMetric | ValidationMetric | ArmMetric | TestMetric;

export function metricsOf(events: readonly RunEvent[]): Metric[] {
  const state = replay(events);
  // From the state: the figures of a deployment are made from many owners' events.
  const evaluations = Object.entries(state.evaluations).map(([id, result]) => evaluationMetric(id, result));
  const counted = countedIn(state);
  // Files go further than a journal does: where who was drawn is a secret, they are as if nobody had been.
  const told = hidesCohorts(state.plan) ? events.filter(({ type }) => !OF_CLIENTS.has(type)) : events;
  const metrics = [...told.flatMap((event) => metricOf(event, told, counted)), ...evaluations];
  return metrics
    .map((metric) => ({ metric, key: sortKey(metric) }))
    .sort(byKey)
    .map(({ metric }) => metric);
}

const OF_CLIENTS: ReadonlySet<RunEvent['type']> = new Set(['update-received', 'client-failed']);

export function metricsText(metrics: readonly Metric[]): string {
  return metrics.map((metric) => `${JSON.stringify(metric)}\n`).join('');
}

/** Updates that counted in a round or wait for one, as `owner update`. Buffered runs may count them in a later one. */
function countedIn({ closed, open }: RunState): ReadonlySet<string> {
  const members = closed.flatMap((round) => Object.entries(round.members));
  const waiting = Object.entries(open?.accepted ?? {}).map(([owner, { update }]) => [owner, update]);
  return new Set([...members, ...waiting].map((pair) => pair.join(' ')));
}

function metricOf(event: RunEvent, events: readonly RunEvent[], counted: ReadonlySet<string>): Metric[] {
  switch (event.type) {
    case 'update-received': {
      const { round, owner, update, upBytes, downBytes, check, stats } = event;
      const reason = check.ok ? putAside(events, event) : check.reason;
      const updateNorm = check.ok ? check.l2Norm : null;
      return [
        {
          type: 'client',
          round,
          owner,
          accepted: check.ok && counted.has(`${owner} ${update}`),
          reason,
          updateNorm,
          upBytes,
          downBytes,
          ...stats,
        },
      ];
    }
    case 'client-failed':
      return [failedClient(event)];
    case 'aggregated':
      return [roundMetric(event, events)];
    case 'arm-trained':
      return [{ type: 'arm', arm: event.arm, stats: event.stats, failure: null }];
    case 'arm-failed':
      return [{ type: 'arm', arm: event.arm, stats: null, failure: event.reason }];
    default:
      return [];
  }
}

/** Why an update that was accepted did not count after all; null: it counted, or its round is not closed. */
function putAside(
  events: readonly RunEvent[],
  { owner, update, round }: Extract<RunEvent, { type: 'update-received' }>,
): string | null {
  for (const event of events) {
    if (event.type !== 'aggregated' || event.excluded === undefined || event.round < round) continue;
    const found = event.excluded.find((item) => item.owner === owner && item.update === update);
    if (found !== undefined) return found.reason;
  }
  return null;
}

function failedClient({ round, owner, reason }: Extract<RunEvent, { type: 'client-failed' }>): ClientMetric {
  const nothing = { steps: 0, numExamples: 0, numTokens: 0, numTargets: 0, meanLoss: null, lastLoss: null };
  return {
    type: 'client',
    round,
    owner,
    accepted: false,
    reason,
    updateNorm: null,
    upBytes: 0,
    downBytes: 0,
    ...nothing,
  };
}

function roundMetric(
  event: Extract<RunEvent, { type: 'aggregated' }>,
  events: readonly RunEvent[],
): RoundMetric {
  const { round, params, report, aggregateNorm } = event;
  const updates = events.filter((item) => item.type === 'update-received');
  const own = updates.filter((update) => update.round === round);
  const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
  const counted = own.filter(({ check }) => check.ok).sort((a, b) => (a.owner < b.owner ? -1 : 1));
  const targets = sum(counted.map(({ stats }) => stats.numTargets));
  const losses = counted.map(({ stats }) => (stats.meanLoss ?? Number.NaN) * stats.numTargets);
  const meanLoss = sum(losses) / targets;
  return {
    type: 'round',
    round,
    participants: report.numUpdates,
    meanLoss: Number.isFinite(meanLoss) ? meanLoss : null,
    aggregateNorm,
    clamped: report.clamped,
    coordinates: report.coordinates,
    quantisationErrorBound: report.quantisationErrorBound,
    ...(report.figures === undefined ? {} : { figures: report.figures }),
    ...(report.voices === undefined ? {} : { voices: report.voices }),
    ...(report.release === undefined ? {} : { privacy: roundPrivacy(report.release, counted) }),
    upBytes: sum(own.map(({ upBytes }) => upBytes)),
    downBytes: sum(own.map(({ downBytes }) => downBytes)),
    tokensSeen: sum(updates.filter((update) => update.round <= round).map(({ stats }) => stats.numTokens)),
    params,
  };
}

function evaluationMetric(evaluation: string, { numExamples, pooled, owners }: EvaluationResult): Metric {
  const slash = evaluation.indexOf('/');
  const subject = evaluation.slice(slash + 1);
  return evaluation.startsWith('validation/')
    ? { type: 'validation', round: Number(subject), numExamples, pooled, owners }
    : { type: 'test', subject, numExamples, pooled, owners };
}

const TYPE_ORDER: Record<Metric['type'], number> = { client: 0, round: 1, validation: 2, arm: 3, test: 4 };

/** Rounds in order, inside a round clients, the round, its validation; then baselines and tests. */
function sortKey(metric: Metric): readonly [number, number, string] {
  const order = TYPE_ORDER[metric.type];
  if ('round' in metric) return [metric.round, order, metric.type === 'client' ? metric.owner : ''];
  return [Number.POSITIVE_INFINITY, order, metric.type === 'arm' ? metric.arm : metric.subject];
}

function byKey(a: { key: ReturnType<typeof sortKey> }, b: { key: ReturnType<typeof sortKey> }): number {
  for (const [i, left] of a.key.entries()) {
    const right = b.key[i]!;
    if (left !== right) return left < right ? -1 : 1;
  }
  return 0;
}
