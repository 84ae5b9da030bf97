/** What an operator does to a run that this process leads. */

import type { RunEvent } from '../../federation/events.ts';
import type { LedRun } from './led-run.ts';

export async function pauseRun(led: LedRun, reason: string): Promise<void> {
  if (led.state === undefined) await led.changeRecord((record) => ({ ...record, paused: reason }));
  else await led.submit({ type: 'paused', reason });
}

export async function resumeRun(led: LedRun): Promise<void> {
  if (led.state !== undefined) return void (await led.submit({ type: 'continued' }));
  await led.changeRecord((record) => ({ ...record, paused: null }));
  led.waitingRoom.tryToBegin();
}

export async function endRun(
  led: LedRun,
  event: Extract<RunEvent, { type: 'stopping' | 'cancelled' }>,
): Promise<void> {
  if (led.state !== undefined) return void (await led.submit(event));
  const over = { status: 'cancelled', reason: event.reason, blobs: [] } as const;
  await led.changeRecord((record) => ({ ...record, over }));
  led.waiters.wakeAll();
}

export async function pardonOwner(led: LedRun, owner: string): Promise<void> {
  await led.submit({ type: 'owner-pardoned', owner });
}

/** Its owner takes no part any more until it joins again. */
export async function revokeClientIn(led: LedRun, clientId: string): Promise<void> {
  const client = await led.members.revoke(clientId, 'the operator revoked it');
  if (client === undefined || led.members.clientOf(client.owner)?.clientId !== clientId) return;
  const { owner } = client;
  if (led.state === undefined) await led.waitingRoom.remove(owner);
  else if (led.state.status === 'running')
    await led.submit({ type: 'owner-left', owner, reason: 'its key was revoked' });
  led.waiters.wake(owner);
}
