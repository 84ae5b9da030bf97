/** What a client should do now; waits until there is something, or until the client has waited long enough. */

import { entryOf } from '../../../federation/state.ts';
import { chosenRound } from '../../../federation/stopping.ts';
import { type OwnerTask, taskOf } from '../../../federation/tasks.ts';
import type { TaskResponse, WireTask } from '../../../federation/wire/messages.ts';
import type { WireResponse } from '../../../federation/wire/transport.ts';
import type { LedRun } from '../../lead/led-run.ts';
import { roundDeadlineMs } from '../../lead/times.ts';
import { maxUpdateBytes } from '../../limits.ts';
import type { DownPiece } from '../../ports.ts';
import { jsonAnswer } from '../answers.ts';
import type { ClientCall, HandlerContext } from '../calls.ts';
import { downFor } from '../down.ts';
import { sizeOf } from './sizes.ts';

/** A client that did not wait asks again after so long. */
const IDLE_MS = 1_000;

export async function task(
  context: HandlerContext,
  { led, client, query, request }: ClientCall<'task'>,
): Promise<WireResponse> {
  const { clock } = context.parts;
  // Who enrolled and could not be counted in is told why, and asks in vain no longer.
  if (led.state?.status === 'running' && entryOf(led.state.roster, client.owner) === undefined)
    await led.waitingRoom.admit(client.owner);
  const untilMs = clock.nowMs() + 1000 * query.wait;
  for (;;) {
    const seen = led.waiters.wakings(client.owner);
    const answer = await taskFor(context, led, client.owner);
    const leftMs = untilMs - clock.nowMs();
    const over = answer.status !== 'waiting' && answer.status !== 'running' && answer.status !== 'paused';
    if (answer.task?.kind === 'train') led.handedOut.give(client.clientId, answer.task.id, clock.nowMs());
    if (answer.task !== null || over || leftMs <= 0 || request.signal.aborted || led.closed)
      return jsonAnswer(answer);
    await led.waiters.wait(client.owner, seen, leftMs, request.signal);
    if (!request.signal.aborted) led.lastSeenMs.set(client.clientId, clock.nowMs());
  }
}

async function taskFor(context: HandlerContext, led: LedRun, owner: string): Promise<TaskResponse> {
  const { state } = led;
  const next = state === undefined ? undefined : taskOf(state, owner);
  const status = led.status();
  const over = status === 'finished' || status === 'failed' || status === 'cancelled';
  const own = next === undefined ? null : await wireTask(context, led, next, owner);
  if (own === 'gone') return taskFor(context, led, owner);
  return {
    status,
    task: own,
    round: state?.open?.round ?? state?.closed.length ?? 0,
    rounds: state?.plan.rounds ?? 0,
    reason: over ? (led.reason()?.slice(0, 2000) ?? null) : null,
    result: await resultOf(context, led),
    retryAfterMs: next === undefined && !over ? IDLE_MS : 0,
  };
}

async function wireTask(
  context: HandlerContext,
  led: LedRun,
  work: OwnerTask,
  owner: string,
): Promise<WireTask | 'gone'> {
  const whole = { digest: work.params, bytes: await sizeOf(context, work.params) };
  if (work.kind === 'evaluate') {
    const { id, evaluation, split } = work;
    return { kind: 'evaluate', id, evaluation, split, params: whole };
  }
  const { id, round, steps, stepOffset, totalSteps, clipNorm, masking } = work;
  const { plan } = led.state!;
  const deadlineMs = roundDeadlineMs(led.state!, led.driver.times);
  const leftMs = deadlineMs === undefined ? null : Math.max(0, deadlineMs - context.parts.clock.nowMs());
  const works = await led.works();
  const maxUploadBytes = maxUpdateBytes(works.updateBytes(plan, round, owner));
  const down = await downFor(led, work);
  if (down === 'gone') return 'gone';
  const sent = {
    params: blobRef(down?.sent) ?? whole,
    rest: blobRef(down?.rest ?? undefined) ?? null,
    base: work.params,
  };
  const amounts = { steps, stepOffset, totalSteps, ...(clipNorm === undefined ? {} : { clipNorm }) };
  const mask = masking === undefined ? {} : { masking };
  return { kind: 'train', id, round, ...sent, ...amounts, ...mask, remainingMs: leftMs, maxUploadBytes };
}

function blobRef(piece: DownPiece | undefined): WireTask['params'] | undefined {
  return piece === undefined ? undefined : { digest: piece.digest, bytes: piece.bytes };
}

async function resultOf(context: HandlerContext, { state }: LedRun): Promise<TaskResponse['result']> {
  if (state?.status !== 'finished') return null;
  const chosen = chosenRound(state);
  return chosen === undefined ? null : { digest: chosen.params, bytes: await sizeOf(context, chosen.params) };
}
