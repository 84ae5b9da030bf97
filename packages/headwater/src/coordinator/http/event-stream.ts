/** A run's events as they come, for whoever watches: server-sent events (HTML standard §9.2). Missed ones are sent first. */

import type { Timers } from '../../base/clock.ts';
import { sleep } from '../../base/clock.ts';
import type { CoordinatorFact, Operator } from '../ports.ts';

export interface EventHub {
  observe(fact: CoordinatorFact): void;
  /** Resolves when something may be new about the run, or at once when the signal is aborted. */
  changed(run: string, signal: AbortSignal): Promise<void>;
  /** Until the signal: one SSE message an event, `id` its number in the journal. */
  follow(operator: Operator, run: string, afterSeq: number, signal: AbortSignal): AsyncGenerator<string>;
}

/** Runs that other processes lead are looked at this often; a comment keeps idle connections open. */
const LOOK_MS = 2_000;

export function createEventHub(timers: Timers): EventHub {
  const watchers = new Map<string, Set<() => void>>();

  function changed(run: string, signal: AbortSignal): Promise<void> {
    const heard = new AbortController();
    const wake = () => heard.abort();
    const known = watchers.get(run) ?? new Set();
    watchers.set(run, known.add(wake));
    return sleep(timers, LOOK_MS, AbortSignal.any([signal, heard.signal])).finally(() => known.delete(wake));
  }

  return {
    observe(fact) {
      if (fact.type === 'event' || fact.type === 'enrolled' || fact.type === 'over')
        for (const wake of watchers.get(fact.run) ?? []) wake();
    },
    changed,
    async *follow(operator, run, afterSeq, signal) {
      let after = afterSeq;
      while (!signal.aborted) {
        const heard = changed(run, signal);
        const events = await operator.events(run, after);
        for (const { seq, event } of events)
          yield `id: ${seq}\nevent: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`;
        after = events.at(-1)?.seq ?? after;
        if (events.length === 0) yield ': waiting\n\n';
        await heard;
      }
    },
  };
}
