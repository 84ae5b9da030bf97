/**
 * The life of a process: from its start to a kill. Promises cannot be killed, so everything outside of a process answers
 * only while it lives; code of a dead one waits for ever at its next call and is collected as garbage.
 */

import type { VirtualTime } from './virtual-time.ts';

export interface Life {
  readonly name: string;
  /** 1 for the first start. */
  readonly incarnation: number;
  readonly alive: boolean;
  /** Until then the process stands still, as under SIGSTOP; it notices nothing of it but the time. */
  stalledUntilMs: number;
  /** Called once at death; returns how not to be. */
  onDeath(listener: () => void): () => void;
  die(): void;
}

export function beginLife(name: string, incarnation: number): Life {
  const listeners = new Set<() => void>();
  let alive = true;
  return {
    name,
    incarnation,
    get alive() {
      return alive;
    },
    stalledUntilMs: 0,
    onDeath(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    die() {
      if (!alive) return;
      alive = false;
      for (const listener of [...listeners]) listener();
      listeners.clear();
    },
  };
}

/** Lets the process notice something: not before it goes on, never after its death. */
export function notice(time: VirtualTime, life: Life, act: () => void): void {
  if (!life.alive) return;
  if (life.stalledUntilMs > time.nowMs)
    time.after(life.stalledUntilMs - time.nowMs, () => notice(time, life, act));
  else act();
}

/** An answer that arrives after so many milliseconds, if the process still lives. */
export function answerIn<T>(time: VirtualTime, life: Life, ms: number, effect: () => T): Promise<T> {
  return new Promise((resolve, reject) => {
    time.after(ms, () =>
      notice(time, life, () => {
        try {
          resolve(effect());
        } catch (error) {
          reject(error);
        }
      }),
    );
  });
}
