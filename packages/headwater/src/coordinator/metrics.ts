/** Facts of a coordinator as Prometheus metrics. */

import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { CoordinatorFact } from './ports.ts';

export interface Metrics {
  readonly contentType: string;
  observe(fact: CoordinatorFact): void;
  text(): Promise<string>;
}

const SECONDS = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10];

export function createMetrics(): Metrics {
  const registry = new Registry();
  // Event loop lag, memory, garbage collection of this process.
  collectDefaultMetrics({ register: registry });
  const registers = [registry];
  const requests = new Counter({
    name: 'headwater_requests_total',
    help: 'Requests of clients.',
    labelNames: ['route', 'code'],
    registers,
  });
  const latency = new Histogram({
    name: 'headwater_request_seconds',
    help: 'Until the answer began; without the task route, which waits on purpose.',
    labelNames: ['route'],
    buckets: SECONDS,
    registers,
  });
  const appends = new Histogram({
    name: 'headwater_journal_append_seconds',
    help: 'Making a group of events durable.',
    buckets: SECONDS,
    registers,
  });
  const events = new Counter({
    name: 'headwater_events_total',
    help: 'Events in the journals.',
    labelNames: ['run', 'type'],
    registers,
  });
  const updates = new Counter({
    name: 'headwater_updates_total',
    help: 'Updates handed in, by what became of them.',
    labelNames: ['run', 'outcome'],
    registers,
  });
  const uploaded = new Counter({
    name: 'headwater_uploaded_bytes_total',
    help: 'Chunks received.',
    labelNames: ['run'],
    registers,
  });
  const round = new Gauge({
    name: 'headwater_round',
    help: 'Rounds closed.',
    labelNames: ['run'],
    registers,
  });
  const leading = new Gauge({
    name: 'headwater_leading',
    help: '1 while this process leads the run.',
    labelNames: ['run'],
    registers,
  });
  return {
    contentType: registry.contentType,
    text: () => registry.metrics(),
    observe(fact) {
      switch (fact.type) {
        case 'request':
          requests.inc({ route: fact.route, code: String(fact.status) });
          if (fact.route !== 'task') latency.observe({ route: fact.route }, fact.tookMs / 1000);
          break;
        case 'append':
          appends.observe(fact.tookMs / 1000);
          break;
        case 'event':
          events.inc({ run: fact.run, type: fact.event.type });
          round.set({ run: fact.run }, fact.state.closed.length);
          break;
        case 'receipt':
          updates.inc({ run: fact.run, outcome: fact.code ?? 'accepted' });
          break;
        case 'uploaded':
          uploaded.inc({ run: fact.run }, fact.bytes);
          break;
        case 'leading':
          leading.set({ run: fact.run }, fact.leads ? 1 : 0);
          break;
        case 'enrolled':
        case 'over':
          break;
      }
    },
  };
}
