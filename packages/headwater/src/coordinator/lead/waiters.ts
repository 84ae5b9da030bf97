/** Clients that wait for something to do. Only those whom a change concerns are woken. */

import type { Timers } from '../../base/clock.ts';

export interface Waiters {
  /** Wakings of this owner so far: taken before looking whether there is something to do. */
  wakings(owner: string): number;
  /**
   * Resolves when the owner is woken, the time is up, or the signal is aborted; at once when it was woken since `seen` was taken,
   * so that a change between the look and the wait is not slept through.
   */
  wait(owner: string, seen: number, ms: number, signal: AbortSignal): Promise<void>;
  wake(owner: string): void;
  wakeAll(): void;
}

export function createWaiters(timers: Timers): Waiters {
  const waiting = new Map<string, Set<() => void>>();
  const counts = new Map<string, number>();
  let ofAll = 0;

  const wakings = (owner: string) => ofAll + (counts.get(owner) ?? 0);

  function rouse(owner: string): void {
    const woken = waiting.get(owner);
    waiting.delete(owner);
    for (const go of woken ?? []) go();
  }

  return {
    wakings,
    wait: (owner, seen, ms, signal) =>
      new Promise((resolve) => {
        if (signal.aborted || wakings(owner) !== seen) return resolve();
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
    wake(owner) {
      counts.set(owner, (counts.get(owner) ?? 0) + 1);
      rouse(owner);
    },
    wakeAll() {
      ofAll++;
      for (const owner of [...waiting.keys()]) rouse(owner);
    },
  };
}
