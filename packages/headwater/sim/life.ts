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

/** An answer that arrives after so many milliseconds, if the process still lives. */
export function answerIn<T>(time: VirtualTime, life: Life, ms: number, effect: () => T): Promise<T> {
  return new Promise((resolve, reject) => {
    time.after(ms, () => {
      if (!life.alive) return;
      try {
        resolve(effect());
      } catch (error) {
        reject(error);
      }
    });
  });
}
