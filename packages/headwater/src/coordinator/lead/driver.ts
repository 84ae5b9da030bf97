/**
 * The one writer of a run's events: queues them, appends what queued in one write (group commit), and only then lets anybody
 * know what follows. It does no work of the run and speaks to nobody.
 */

import type { Clock } from '../../base/clock.ts';
import { assert } from '../../base/errors.ts';
import type { RunEvent } from '../../federation/events.ts';
import type { Step } from '../../federation/machine.ts';
import type { RunState } from '../../federation/state.ts';
import { stamped } from '../../runs/journal-events.ts';
import type { Journal, Json } from '../../storage/journal.ts';
import type { Machine } from '../ports.ts';
import { type Recovered, saveState, stepFrom } from './recover.ts';
import { type RunTimes, timesAfter } from './times.ts';

export interface Committed extends Step {
  readonly event: RunEvent;
  readonly before: RunState | undefined;
  /** Undefined when the event changed nothing and was not written. */
  readonly seq: number | undefined;
}

export interface Driver {
  /** After everything that is durable; undefined before the first event. */
  readonly state: RunState | undefined;
  readonly times: RunTimes;
  readonly seq: number;
  /**
   * Resolves when the event, and everything before it, is durable. Rejects when the machine refuses the event, with the
   * journal's error when it could not be written, and once the driver is broken or closed.
   */
  submit(event: RunEvent): Promise<Step>;
  /** Waits for what was submitted; takes nothing more. */
  close(): Promise<void>;
}

export interface DriverParts {
  readonly journal: Journal;
  readonly machine: Machine;
  readonly clock: Clock;
  readonly snapshotEvents: number;
  /** In order, before whoever submitted hears of it. */
  readonly onCommitted: (committed: readonly Committed[]) => void;
  readonly onAppended: (events: number, tookMs: number) => void;
  /** Nothing can be written any more: what is durable now is not known. */
  readonly onBroken: (cause: unknown) => void;
  readonly onSnapshotFailed: (cause: unknown) => void;
}

interface Waiting {
  readonly event: RunEvent;
  readonly resolve: (step: Step) => void;
  readonly reject: (cause: unknown) => void;
}

export function createDriver(parts: DriverParts, recovered: Recovered): Driver {
  const { journal, machine, clock } = parts;
  let { state, times, seq, snapshotSeq } = recovered;
  let queue: Waiting[] = [];
  let pumping: Promise<void> | undefined;
  let stopped: { readonly cause: unknown } | undefined;

  function submit(event: RunEvent): Promise<Step> {
    return new Promise((resolve, reject) => {
      if (stopped !== undefined) return reject(stopped.cause);
      queue.push({ event, resolve, reject });
      pumping ??= pump();
    });
  }

  async function pump(): Promise<void> {
    // Requests that arrive in the same turn of the event loop share a write.
    await Promise.resolve();
    try {
      while (queue.length > 0 && stopped === undefined) {
        const batch = queue;
        queue = [];
        await commit(batch);
      }
    } catch (cause) {
      stop(cause);
      parts.onBroken(cause);
    }
    pumping = undefined;
  }

  async function commit(batch: readonly Waiting[]): Promise<void> {
    const decided = decide(batch);
    const written = decided.filter(({ committed }) => committed.seq !== undefined);
    if (
      written.length > 0 &&
      !(await append(
        written.map(({ committed }) => committed.event),
        batch,
      ))
    )
      return;
    for (const { committed } of decided) {
      times = timesAfter(times, committed.before, committed.state, committed.event, committed.effects);
      state = committed.state;
    }
    seq += written.length;
    parts.onCommitted(decided.map(({ committed }) => committed));
    for (const { waiting, committed } of decided) waiting.resolve(committed);
    if (seq - snapshotSeq >= eventsBetweenSnapshots()) await snapshot();
  }

  /** Each event from the state that those before it leave. */
  function decide(batch: readonly Waiting[]) {
    const decided: { readonly waiting: Waiting; readonly committed: Committed }[] = [];
    let before = state;
    let next = seq;
    for (const waiting of batch) {
      try {
        const event = stamped(waiting.event, clock);
        const step = stepFrom(machine, before, event);
        const changes = step.state !== before || event.type === 'resumed';
        decided.push({ waiting, committed: { ...step, event, before, seq: changes ? ++next : undefined } });
        before = step.state;
      } catch (cause) {
        waiting.reject(cause);
      }
    }
    return decided;
  }

  async function append(events: readonly RunEvent[], batch: readonly Waiting[]): Promise<boolean> {
    const startedMs = clock.nowMs();
    try {
      const last = await journal.append(events as unknown as Json[], seq);
      assert(last === seq + events.length, 'the journal counts entries as the driver does');
    } catch (cause) {
      stop(cause);
      for (const { reject } of batch) reject(cause);
      parts.onBroken(cause);
      return false;
    }
    parts.onAppended(events.length, clock.nowMs() - startedMs);
    return true;
  }

  /** A snapshot costs as much as there are owners: those of large runs are fewer. */
  function eventsBetweenSnapshots(): number {
    return Math.max(parts.snapshotEvents, state?.plan.owners.length ?? 0);
  }

  async function snapshot(): Promise<void> {
    if (state === undefined) return;
    try {
      await saveState(journal, seq, { state, times });
    } catch (cause) {
      parts.onSnapshotFailed(cause);
    }
    snapshotSeq = seq;
  }

  function stop(cause: unknown): void {
    stopped ??= { cause };
    const left = queue;
    queue = [];
    for (const { reject } of left) reject(cause);
  }

  return {
    get state() {
      return state;
    },
    get times() {
      return times;
    },
    get seq() {
      return seq;
    },
    submit,
    async close() {
      while (pumping !== undefined) await pumping;
      stop(new Error('the run is led by nobody here any more'));
    },
  };
}
