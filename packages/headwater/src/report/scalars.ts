/** A run's journal → scalars by tag and round, for tools that draw curves. It knows no file format. */

import type { RunEvent } from '../federation/events.ts';
import { type Metric, metricsOf } from '../runs/metrics.ts';
import { resultsOf } from '../runs/results.ts';

export interface Scalar {
  /** `train/loss`, `validation/exactMatch`, `test/federated/loss`. */
  readonly tag: string;
  readonly round: number;
  readonly value: number;
  /** Seconds since 1970. */
  readonly wallTime: number;
}

/** In the order of metrics.jsonl. Tests stand at the last round. */
export function scalarsOf(events: readonly RunEvent[]): Scalar[] {
  const last = resultsOf(events).rounds.run;
  const endedIn = roundEnds(events);
  return metricsOf(events).flatMap((metric) => {
    const round = 'round' in metric ? metric.round : last;
    const wallTime = (endedIn.get(round) ?? endedIn.get(last) ?? 0) / 1000;
    return valuesOf(metric).flatMap(([tag, value]) =>
      value === null ? [] : [{ tag, round, value, wallTime }],
    );
  });
}

/** Milliseconds at which a round closed; round 0 is the start. */
function roundEnds(events: readonly RunEvent[]): Map<number, number> {
  const ends = new Map<number, number>();
  for (const event of events) {
    const { endedMs } = (event.observed ?? {}) as { readonly endedMs?: number };
    if (endedMs === undefined) continue;
    if (event.type === 'created') ends.set(0, endedMs);
    if (event.type === 'aggregated') ends.set(event.round, endedMs);
  }
  return ends;
}

function valuesOf(metric: Metric): (readonly [tag: string, value: number | null])[] {
  switch (metric.type) {
    case 'round':
      return [
        ['train/loss', metric.meanLoss],
        ['train/aggregateNorm', metric.aggregateNorm],
        ['train/participants', metric.participants],
        ['train/tokensSeen', metric.tokensSeen],
        ['bytes/up', metric.upBytes],
        ['bytes/down', metric.downBytes],
      ];
    case 'client':
      return metric.accepted ? [[`client/${metric.owner}/loss`, metric.meanLoss]] : [];
    case 'validation':
      return Object.entries(metric.pooled).map(([id, value]) => [`validation/${id}`, value]);
    case 'test':
      return Object.entries(metric.pooled).map(([id, value]) => [`test/${metric.subject}/${id}`, value]);
    default:
      return [];
  }
}
