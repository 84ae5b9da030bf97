/** A run's events as its journal keeps them: JSON, each with when it ended and how long it took. It decides nothing. */

import type { Clock } from '../base/clock.ts';
import type { RunEvent } from '../federation/events.ts';
import type { Journal, Json } from '../storage/journal.ts';
import { upgraded } from './upgrade.ts';

export async function eventsOf(journal: Pick<Journal, 'readAll'>): Promise<RunEvent[]> {
  return (await journal.readAll()).map(({ event }) => upgraded(event));
}

export async function appendEvent(journal: Journal, event: RunEvent): Promise<void> {
  await journal.append([event as unknown as Json], journal.lastSeq);
}

/** When and how long, for reports; the machine never looks. */
export function stamped(event: RunEvent, clock: Clock): RunEvent {
  return {
    ...event,
    observed: { tookMs: 0, ...(event.observed as object | undefined), endedMs: clock.nowMs() },
  };
}
