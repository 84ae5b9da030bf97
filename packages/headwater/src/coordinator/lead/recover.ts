/** From a journal (and its snapshot) to the state of the run. It decides and writes nothing. */

import type { RunEvent } from '../../federation/events.ts';
import type { RunState } from '../../federation/state.ts';
import type { Journal, Json } from '../../storage/journal.ts';
import type { Machine } from '../ports.ts';
import { NO_TIMES, type RunTimes, timesAfter } from './times.ts';

export interface Recovered {
  /** Undefined: nothing was journaled yet. */
  readonly state: RunState | undefined;
  readonly times: RunTimes;
  readonly seq: number;
  /** Entry up to which a snapshot saves reading. */
  readonly snapshotSeq: number;
}

/** What a snapshot of a coordinator holds: the replayed state, and the times that go with it. */
export interface SavedState {
  readonly state: RunState;
  readonly times: RunTimes;
}

/** Throws RUN_CORRUPT, STORAGE_FAILED. */
export async function recover(journal: Journal, machine: Machine): Promise<Recovered> {
  const snapshot = await journal.loadSnapshot();
  const saved = snapshot?.state as unknown as SavedState | undefined;
  let state = saved?.state;
  let times = saved?.times ?? NO_TIMES;
  const snapshotSeq = snapshot?.seq ?? 0;
  let seq = snapshotSeq;
  for (const entry of await journal.readAfter(snapshotSeq)) {
    const event = entry.event as unknown as RunEvent;
    const step = stepFrom(machine, state, event);
    times = timesAfter(times, state, step.state, event, step.effects);
    state = step.state;
    seq = entry.seq;
  }
  return { state, times, seq, snapshotSeq };
}

export function stepFrom(machine: Machine, state: RunState | undefined, event: RunEvent) {
  if (state !== undefined) return machine.step(state, event);
  if (event.type !== 'created') throw new Error('a journal begins with the created event');
  return machine.start(event.plan);
}

export async function saveState(journal: Journal, seq: number, saved: SavedState): Promise<void> {
  await journal.saveSnapshot({ seq, state: saved as unknown as Json });
}
