/** Clients that wait for something to do. Only those whom a change concerns are woken. */

import type { Timers } from '../../base/clock.ts';

export interface Waiters {
  /** Resolves when the owner is woken, the time is up, or the signal is aborted. */
  wait(owner: string, ms: number, signal: AbortSignal): Promise<void>;
  wake(owner: string): void;
  wakeAll(): void;
}

export function createWaiters(timers: Timers): Waiters {
  const waiting = new Map<string, Set<() => void>>();

  function wake(owner: string): void {
    const woken = waiting.get(owner);
    waiting.delete(owner);
    for (const go of woken ?? []) go();
  }

  return {
    wait: (owner, ms, signal) =>
      new Promise((resolve) => {
        if (signal.aborted) return resolve();
        const go = () => {
          cancel();
          signal.removeEventListener('abort', go);
          const others = waiting.get(owner);
          others?.delete(go);
          if (others?.size === 0) waiting.delete(owner);
          resolve();
        };
        const cancel = timers.after(ms, go);
        signal.addEventListener('abort', go);
        const known = waiting.get(owner);
        if (known === undefined) waiting.set(owner, new Set([go]));
        else known.add(go);
      }),
    wake,
    wakeAll() {
      for (const owner of [...waiting.keys()]) wake(owner);
    },
  };
}
