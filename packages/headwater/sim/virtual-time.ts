/**
 * Virtual time: one queue of events, one at a time. Before the next event every promise continuation of the last one has
 * run, so a whole distributed system of promise-based code is a deterministic program. It knows nothing of what runs in it.
 */

import type { Clock, Timers } from '../src/base/clock.ts';
import { type Life, notice } from './life.ts';

interface Entry {
  readonly atMs: number;
  /** Order of equal times: that of scheduling. */
  readonly order: number;
  fire: (() => void) | undefined;
}

export interface VirtualTime {
  /** Milliseconds since the simulation began. */
  readonly nowMs: number;
  /** Events fired so far. */
  readonly fired: number;
  /** Calls `fire` after so many milliseconds; returns how to call it off. */
  after(ms: number, fire: () => void): () => void;
  /**
   * Fires events until `isDone`, or `limitMs` is reached, or nothing is left. `isDone` is asked before each event, when
   * everything is quiet; what it throws ends the run.
   */
  run(isDone: () => boolean, limitMs: number): Promise<'done' | 'late' | 'idle'>;
}

export function createTime(): VirtualTime {
  const heap: Entry[] = [];
  let nowMs = 0;
  let order = 0;
  let fired = 0;
  const next = (limitMs: number): Entry | 'late' | 'idle' => {
    for (;;) {
      const entry = heap[0];
      if (entry === undefined) return 'idle';
      if (entry.fire !== undefined && entry.atMs > limitMs) return 'late';
      pop(heap);
      if (entry.fire !== undefined) return entry;
    }
  };
  return {
    get nowMs() {
      return nowMs;
    },
    get fired() {
      return fired;
    },
    after(ms, fire) {
      const entry: Entry = { atMs: nowMs + Math.max(0, ms), order: order++, fire };
      push(heap, entry);
      return () => {
        entry.fire = undefined;
      };
    },
    run: (isDone, limitMs) =>
      new Promise((resolve, reject) => {
        const tick = () => {
          try {
            if (isDone()) return resolve('done');
            const entry = next(limitMs);
            if (typeof entry === 'string') return resolve(entry);
            nowMs = entry.atMs;
            fired++;
            entry.fire!();
          } catch (error) {
            return reject(error);
          }
          // A macrotask: Node empties its queues of promise jobs and ticks before it.
          setImmediate(tick);
        };
        setImmediate(tick);
      }),
  };
}

/** When every simulation begins. */
const BEGIN_MS = Date.UTC(2030, 0, 1);

/** A machine's clock; `offsetMs` is asked each time, so that it can be set wrong. */
export function clockOf(time: VirtualTime, offsetMs: () => number = () => 0): Clock {
  return { nowMs: () => BEGIN_MS + Math.floor(time.nowMs + offsetMs()) };
}

/** Timers of a process: they die with it. */
export function timersOf(time: VirtualTime, life: Life): Timers {
  return {
    after(ms, fire) {
      let wanted = true;
      const cancel = time.after(ms, () => notice(time, life, () => wanted && fire()));
      return () => {
        wanted = false;
        cancel();
      };
    },
  };
}

function before(a: Entry, b: Entry): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}

function push(heap: Entry[], entry: Entry): void {
  let i = heap.length;
  heap.push(entry);
  while (i > 0) {
    const parent = (i - 1) >> 1;
    if (!before(entry, heap[parent]!)) break;
    heap[i] = heap[parent]!;
    i = parent;
  }
  heap[i] = entry;
}

function pop(heap: Entry[]): void {
  const last = heap.pop()!;
  if (heap.length === 0) return;
  let i = 0;
  for (;;) {
    let child = 2 * i + 1;
    if (child >= heap.length) break;
    if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child++;
    if (!before(heap[child]!, last)) break;
    heap[i] = heap[child]!;
    i = child;
  }
  heap[i] = last;
}
