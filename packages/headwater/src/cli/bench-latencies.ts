/**
 * From measured requests to latencies by what was asked. A long poll counts from when it could have been answered: from the
 * event that ended its wait, or from the end of the wait that was asked for. It knows no processes.
 */

import { type Sample, WAIT_SECONDS } from './bench-light-client.ts';
import type { CoordinatorOver } from './bench-rounds-coordinator.ts';

export interface Latencies {
  readonly what: string;
  readonly count: number;
  /** In milliseconds. */
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
  readonly max: number;
}

type Moments = Pick<CoordinatorOver, 'openedMs' | 'overMs'>;

/** Requests that carry neither params nor updates. `over` is none of a round: all clients are told at once. */
const CONTROL = ['join', 'enrol', 'task', 'idle', 'openUpload', 'submitUpdate'];
const OTHERS = ['blob', 'putChunk', 'over'];

/** `task`: polls that got one; `idle`: polls that waited in vain; `over`: polls that were told that the run is over. */
export function latenciesOf(samples: readonly Sample[], moments: Moments): Latencies[] {
  const answered = samples.filter(({ got }) => got !== 'failed');
  const of = (what: string, kinds: readonly string[]) =>
    figuresOf(
      what,
      answered.filter((sample) => kinds.includes(kindOf(sample))).map((sample) => latencyOf(sample, moments)),
    );
  return [of('control', CONTROL), ...[...CONTROL, ...OTHERS].map((kind) => of(kind, [kind]))];
}

function kindOf({ route, got }: Sample): string {
  if (route !== 'task' || got === 'task') return route;
  return got === 'over' ? 'over' : 'idle';
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

function figuresOf(what: string, values: number[]): Latencies {
  const sorted = values.sort((a, b) => a - b);
  const at = (share: number) => sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN;
  return { what, count: sorted.length, p50: at(0.5), p95: at(0.95), p99: at(0.99), max: at(1) };
}
