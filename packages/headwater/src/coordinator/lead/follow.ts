/** What follows from events that are durable: who is woken, what work starts, which deadline counts, what may be deleted. */

import { messageOf } from '../../base/errors.ts';
import { liveBlobs } from '../../federation/outstanding.ts';
import type { RunState } from '../../federation/state.ts';
import type { Context } from '../context.ts';
import type { SecureRounds } from '../masks/secure-rounds.ts';
import type { Deadlines } from './deadlines.ts';
import type { Committed, Driver } from './driver.ts';
import type { ServerWork } from './server-work.ts';
import type { UploadBook } from './upload-book.ts';
import type { Waiters } from './waiters.ts';

export interface Followers {
  readonly context: Context;
  readonly run: string;
  readonly driver: Driver;
  readonly waiters: Waiters;
  readonly deadlines: Deadlines;
  readonly uploads: UploadBook;
  readonly serverWork: ServerWork;
  readonly secureRounds: Pick<SecureRounds, 'follow'>;
  /** The run is over. */
  readonly conclude: (state: RunState) => Promise<void>;
}

/** `committed`: in order; the driver's state is the one after the last. */
export function follow(followers: Followers, committed: readonly Committed[]): void {
  const { driver, deadlines, waiters, uploads, conclude } = followers;
  const before = committed[0]?.before;
  const after = driver.state;
  if (after === undefined) return;
  // What is deleted goes before what is made: equal bytes are one blob.
  if (before !== undefined && before !== after) forget(followers, before, after, committed);
  for (const item of committed) followOne(followers, item);
  deadlines.arm(after, driver.times);
  if (after.plan.secureAggregation?.mode === 'secagg-plus') followers.secureRounds.follow();
  if (before !== undefined && before.open?.round !== after.open?.round)
    uploads.dropBefore(oldestWelcome(after)).catch((cause) => warn(followers, 'uploads-not-dropped', cause));
  if (after.status === 'running' || before?.status === after.status) return;
  deadlines.close();
  waiters.wakeAll();
  // It says itself when it fails.
  void conclude(after);
}

function followOne({ context, run, waiters, serverWork }: Followers, committed: Committed): void {
  const { seq, event, state, effects } = committed;
  if (seq === undefined) return;
  context.parts.observe?.({ type: 'event', run, seq, event, state });
  for (const effect of effects) if (effect.kind === 'train') waiters.wake(effect.owner);
  const concernsAll = event.type === 'continued' || effects.some(({ kind }) => kind === 'evaluate');
  if (concernsAll) waiters.wakeAll();
  if (event.type === 'continued') serverWork.launchOutstanding(state);
  else serverWork.launch(effects);
}

function forget(
  followers: Followers,
  before: RunState,
  after: RunState,
  committed: readonly Committed[],
): void {
  const rejected = committed.flatMap(({ event }) =>
    event.type === 'update-received' && !event.check.ok ? [event.update] : [],
  );
  if (rejected.length === 0 && !mayFree(committed)) return;
  const live = liveBlobs(after);
  const given = [...liveBlobs(before), ...rejected].filter((digest) => !live.has(digest));
  followers.context.garbage.collect(given).catch((cause) => warn(followers, 'blobs-not-deleted', cause));
}

/** Accepted updates only add to what is needed; looking at every one of them would cost O(cohort) each time. */
function mayFree(committed: readonly Committed[]): boolean {
  return committed.some(
    ({ event, before, state }) =>
      before !== state && (event.type !== 'update-received' || before?.open?.round !== state.open?.round),
  );
}

function warn({ context, run }: Followers, what: string, cause: unknown): void {
  context.parts.log.warn(what, { run, reason: messageOf(cause) });
}

/** Round of the oldest update that may still count. */
export function oldestWelcome({ plan, open }: RunState): number {
  if (open === undefined) return Number.POSITIVE_INFINITY;
  return plan.pace.mode === 'buffered' ? open.round - plan.pace.maxStaleness : open.round;
}
