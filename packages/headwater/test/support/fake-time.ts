/** A clock that stands still until it is told to go on, and timers that follow it. */

import type { Clock, Timers } from '../../src/base/clock.ts';

export interface FakeTime {
  readonly clock: Clock;
  readonly timers: Timers;
  /** Lets time pass; timers fire in order, and what they begin goes on between them. */
  advance(ms: number): Promise<void>;
  /** What was armed never fires: the process that armed it is dead. */
  dropTimers(): void;
}

export function fakeTime(startMs = 1_700_000_000_000): FakeTime {
  let nowMs = startMs;
  let armed: { readonly atMs: number; readonly fire: () => void }[] = [];
  return {
    clock: { nowMs: () => nowMs },
    timers: {
      after(ms, fire) {
        const timer = { atMs: nowMs + ms, fire };
        armed.push(timer);
        return () => {
          armed = armed.filter((other) => other !== timer);
        };
      },
    },
    dropTimers() {
      armed = [];
    },
    async advance(ms) {
      const untilMs = nowMs + ms;
      for (;;) {
        const due = armed.filter(({ atMs }) => atMs <= untilMs).sort((a, b) => a.atMs - b.atMs)[0];
        if (due === undefined) break;
        armed = armed.filter((other) => other !== due);
        nowMs = Math.max(nowMs, due.atMs);
        due.fire();
        await settled();
      }
      nowMs = untilMs;
      await settled();
    },
  };
}

/** Everything that is ready to run has run: promises, and what Node's own I/O completed. */
export async function settled(): Promise<void> {
  for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
}
