/**
 * What the operator asks for at one process and another one, which leads the run, does: by a record that the leader finds
 * and answers. Whoever asks waits for the answer.
 */

import { sleep, type Timers } from '../base/clock.ts';
import { HeadwaterError, isErrorCode, messageOf } from '../base/errors.ts';
import type { Json } from '../storage/journal.ts';
import type { Store } from '../storage/store.ts';
import type { LedRun } from './lead/led-run.ts';
import { endRun, pardonOwner, pauseRun, resumeRun, revokeClientIn } from './lead/steering.ts';

export type Command =
  | { readonly type: 'pause' | 'stop' | 'cancel'; readonly reason: string }
  | { readonly type: 'resume' }
  | { readonly type: 'pardon'; readonly owner: string }
  | { readonly type: 'revoke-client'; readonly clientId: string };

type Outcome = { readonly done: true } | { readonly failure: string; readonly code: string | null };

interface CommandRecord {
  readonly command: Command;
  readonly outcome: Outcome | null;
}

const COLLECTION = 'commands';
const topicOf = (run: string) => `commands/${run}`;
/** Wake-ups may be lost. */
const LOOK_MS = 1_000;
const PATIENCE_LOOKS = 30;

export function carryOut(led: LedRun, command: Command): Promise<void> {
  switch (command.type) {
    case 'pause':
      return pauseRun(led, command.reason);
    case 'resume':
      return resumeRun(led);
    case 'stop':
      return endRun(led, { type: 'stopping', reason: command.reason });
    case 'cancel':
      return endRun(led, { type: 'cancelled', reason: command.reason });
    case 'pardon':
      return pardonOwner(led, command.owner);
    case 'revoke-client':
      return revokeClientIn(led, command.clientId);
  }
}

type CommandStore = Pick<Store, 'records' | 'wakeups'>;

/** `id`: never used before. Throws what the leader threw; RUN_LOCKED when nobody answers. */
export async function askLeader(
  { records, wakeups }: CommandStore,
  timers: Timers,
  run: string,
  id: string,
  command: Command,
): Promise<void> {
  const key = `${run}/${id}`;
  const asked: CommandRecord = { command, outcome: null };
  await records.put(COLLECTION, key, asked as unknown as Json, 0);
  await wakeups.publish(topicOf(run));
  for (let look = 0; look < PATIENCE_LOOKS; look++) {
    await sleep(timers, LOOK_MS / 4);
    const { outcome } = ((await records.get(COLLECTION, key))?.value ?? asked) as unknown as CommandRecord;
    if (outcome === null) continue;
    await records.delete(COLLECTION, key);
    if ('done' in outcome) return;
    const code = outcome.code !== null && isErrorCode(outcome.code) ? outcome.code : 'REQUEST_REFUSED';
    throw new HeadwaterError(code, outcome.failure);
  }
  await records.delete(COLLECTION, key);
  throw new HeadwaterError('RUN_LOCKED', `the process that leads the run "${run}" does not answer`, {
    hint: 'Try again in a few seconds.',
  });
}

/** Does what is asked for as long as the run is led here. Returns how to stop. */
export function followCommands(
  { records, wakeups }: CommandStore,
  timers: Timers,
  led: LedRun,
  onFailed: (cause: unknown) => void,
): () => void {
  let looking = false;
  let again = false;
  let stopped = false;
  let cancel = () => {};

  async function look(): Promise<void> {
    for (const { key, value, version } of await records.list(COLLECTION, `${led.run}/`)) {
      const { command, outcome } = value as unknown as CommandRecord;
      if (outcome !== null) continue;
      const done = await carryOut(led, command).then((): Outcome => ({ done: true }), failed);
      await records.put(COLLECTION, key, { command, outcome: done } as unknown as Json, version);
    }
  }

  function begin(): void {
    cancel();
    if (stopped) return;
    again = looking;
    if (looking) return;
    looking = true;
    look()
      .catch(onFailed)
      .finally(() => {
        looking = false;
        if (again) begin();
        else if (!stopped) cancel = timers.after(LOOK_MS, begin);
      });
  }

  const unsubscribe = wakeups.subscribe(topicOf(led.run), begin);
  begin();
  return () => {
    stopped = true;
    cancel();
    unsubscribe();
  };
}

function failed(cause: unknown): Outcome {
  return { failure: messageOf(cause), code: cause instanceof HeadwaterError ? cause.code : null };
}
