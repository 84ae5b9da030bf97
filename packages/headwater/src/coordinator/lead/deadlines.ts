/** Arms the next deadline of a run and submits its event when the time has come. */

import type { Clock, Timers } from '../../base/clock.ts';
import type { RunEvent } from '../../federation/events.ts';
import type { RunState } from '../../federation/state.ts';
import { nextDeadline, type RunTimes } from './times.ts';

export interface Deadlines {
  /** After each change. */
  arm(state: RunState, times: RunTimes): void;
  close(): void;
}

/** After a restart clients get at least so long to come back before they count as silent. */
const RESTART_GRACE_MS = 30_000;

export function createDeadlines(
  clock: Clock,
  timers: Timers,
  submit: (event: RunEvent) => Promise<unknown>,
): Deadlines {
  const startedMs = clock.nowMs();
  let armed: { readonly key: string; readonly cancel: () => void } | undefined;
  let closed = false;

  function disarm(): void {
    armed?.cancel();
    armed = undefined;
  }

  function arm(state: RunState, times: RunTimes): void {
    const next = closed ? undefined : nextDeadline(state, times);
    const key = next === undefined ? '' : JSON.stringify(next);
    if (key === (armed?.key ?? '')) return;
    disarm();
    if (next === undefined) return;
    const { deadlineMs, evaluationDeadlineMs } = state.plan.pace;
    const usual = next.event.type === 'deadline' ? deadlineMs : evaluationDeadlineMs;
    const earliestMs = startedMs + Math.min(RESTART_GRACE_MS, usual ?? 0);
    const inMs = Math.max(next.atMs, earliestMs) - clock.nowMs();
    const fire = () => {
      if (closed || armed?.key !== key) return;
      armed = undefined;
      // Timers of some platforms come early, or cannot wait that long.
      if (clock.nowMs() < next.atMs) arm(state, times);
      else expire(next.event);
    };
    armed = { key, cancel: timers.after(Math.max(0, inMs), fire) };
  }

  function expire(event: RunEvent): void {
    // A driver that cannot write is replaced; its successor arms the deadline again.
    submit(event).catch(() => undefined);
  }

  return {
    arm,
    close() {
      closed = true;
      disarm();
    },
  };
}
