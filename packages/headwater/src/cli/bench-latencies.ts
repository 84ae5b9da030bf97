/**
 * From measured requests to latencies by route. A long poll counts from when it could have been answered: from the event that
 * ended its wait, or from the end of the wait that was asked for. It knows no processes.
 */

import type { RouteId } from '../federation/wire/routes.ts';
import { type Sample, WAIT_SECONDS } from './bench-light-client.ts';
import type { CoordinatorOver } from './bench-rounds-coordinator.ts';

export interface Latencies {
  /** `control`: all of the routes that carry no params and no updates. */
  readonly route: RouteId | 'control';
  readonly count: number;
  /** In milliseconds. */
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
  readonly max: number;
}

type Moments = Pick<CoordinatorOver, 'openedMs' | 'overMs'>;

const CONTROL: readonly RouteId[] = ['join', 'enrol', 'task', 'openUpload', 'submitUpdate'];
const BULK: readonly RouteId[] = ['blob', 'putChunk'];

export function latenciesOf(samples: readonly Sample[], moments: Moments): Latencies[] {
  const answered = samples.filter(({ got }) => got !== 'failed');
  const of = (routes: readonly RouteId[], route: Latencies['route']) =>
    figuresOf(
      route,
      answered.filter((sample) => routes.includes(sample.route)).map((sample) => latencyOf(sample, moments)),
    );
  return [of(CONTROL, 'control'), ...[...CONTROL, ...BULK].map((route) => of([route], route))];
}

/** In milliseconds, as the client saw it. */
function latencyOf({ route, got, round, sentMs, doneMs }: Sample, { openedMs, overMs }: Moments): number {
  if (route !== 'task') return doneMs - sentMs;
  const waitedUntilMs = {
    task: openedMs[round - 1] ?? 0,
    over: overMs,
    nothing: sentMs + 1000 * WAIT_SECONDS,
  };
  const possibleMs = got === 'done' || got === 'failed' ? sentMs : waitedUntilMs[got];
  // Clocks of two processes agree to a fraction of a millisecond.
  return Math.max(0, doneMs - Math.max(sentMs, possibleMs));
}

function figuresOf(route: Latencies['route'], values: number[]): Latencies {
  const sorted = values.sort((a, b) => a - b);
  const at = (share: number) => sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN;
  return { route, count: sorted.length, p50: at(0.5), p95: at(0.95), p99: at(0.99), max: at(1) };
}
