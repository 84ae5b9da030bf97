/** Asking what to do: a long poll whose wait is the coordinator's, and the end of the run. */

import { sleep } from '../base/clock.ts';
import { printable } from '../base/printable.ts';
import type { TaskResponse, WireTask } from '../federation/wire/messages.ts';
import { interrupted } from './failures.ts';
import { jittered, persist } from './retry.ts';
import { ask, type Session } from './session.ts';

export interface Over {
  readonly kind: 'over';
  readonly status: 'finished' | 'failed' | 'cancelled';
  readonly reason: string | null;
  readonly result: TaskResponse['result'];
}

export type Next = { readonly kind: 'task'; readonly task: WireTask } | Over;

const POLL_SECONDS = 25;
/** Against a coordinator that does not wait. */
const SHORTEST_ROUND_TRIP_MS = 1000;

/** Resolves when there is something to do, or the run is over. */
export async function nextTask(session: Session): Promise<Next> {
  const { parts, signal } = session;
  for (;;) {
    const askedMs = parts.clock.nowMs();
    const answer = await poll(session);
    const over = overOf(answer);
    if (over !== undefined) return over;
    if (answer.task !== null) return { kind: 'task', task: answer.task };
    const { round, rounds, status } = answer;
    parts.onEvent({ type: 'waiting', round, rounds, ...(status === 'paused' ? { paused: true } : {}) });
    const tookMs = parts.clock.nowMs() - askedMs;
    const pauseMs = Math.max(answer.retryAfterMs, SHORTEST_ROUND_TRIP_MS - tookMs, 0);
    if (pauseMs > 0) await sleep(parts.timers, jittered(pauseMs, parts.entropy), signal);
    if (signal.aborted) throw interrupted();
  }
}

/** A coordinator that did not answer is asked without waiting first, so that everybody soon knows that it is back. */
function poll({ parts, caller, run, signal }: Session): Promise<TaskResponse> {
  let wait = POLL_SECONDS;
  return persist(parts, signal, () =>
    caller.json('task', { params: { run }, query: { wait } }, signal).catch((cause) => {
      wait = 0;
      throw cause;
    }),
  );
}

/** Whether this training is still wanted: asked for while it is under way, which also tells that we are alive. */
export async function stillWanted(session: Session, taskId: string, anyVersion: boolean): Promise<boolean> {
  const answer = await ask(session, 'task', { query: { wait: 0 } });
  if (overOf(answer) !== undefined) return false;
  // A paused run takes updates that are under way; a buffered one those of older versions.
  if (answer.status !== 'running') return true;
  return answer.task?.kind === 'train' && (anyVersion || answer.task.id === taskId);
}

function overOf({ status, reason, result }: TaskResponse): Over | undefined {
  if (status !== 'finished' && status !== 'failed' && status !== 'cancelled') return undefined;
  return { kind: 'over', status, reason: reason === null ? null : printable(reason), result };
}
