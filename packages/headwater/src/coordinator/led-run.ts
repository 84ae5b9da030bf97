/**
 * A run that this process leads: its driver, its members, whoever waits for it and its own work, from opening the journal to
 * closing it. Requests come from the handlers; who may lead is decided in `leadership.ts`.
 */

import { canonicalJson } from '../base/canonical.ts';
import { HeadwaterError, messageOf } from '../base/errors.ts';
import type { RunEvent } from '../federation/events.ts';
import type { Step } from '../federation/machine.ts';
import { liveBlobs } from '../federation/outstanding.ts';
import type { RunState } from '../federation/state.ts';
import { LIMITS, PROTOCOL_VERSION } from '../federation/wire/messages.ts';
import { eventsOf } from '../runs/journal-events.ts';
import { lostLease } from '../storage/failures.ts';
import type { Journal } from '../storage/journal.ts';
import type { Fence } from '../storage/store.ts';
import type { Context } from './context.ts';
import { createDeadlines } from './deadlines.ts';
import { createDriver, type Driver } from './driver.ts';
import { follow, oldestWelcome } from './follow.ts';
import { type Members, openMembers } from './members.ts';
import { createNonces, type Nonces } from './nonces.ts';
import type { RunSummary, RunWorks } from './ports.ts';
import { changeRecord, type RunRecord } from './records.ts';
import { type Recovered, recover } from './recover.ts';
import { createServerWork, type ServerWork } from './server-work.ts';
import { createUploadBook, type UploadBook } from './upload-book.ts';
import { createWaiters, type Waiters } from './waiters.ts';
import { openWaitingRoom, type WaitingRoom } from './waiting-room.ts';

export interface LedRun {
  readonly run: string;
  /** Requests signed before this moment are refused: whether their nonces were used is not known. */
  readonly sinceMs: number;
  readonly record: RunRecord;
  /** After everything that is durable; undefined while the run waits for owners. */
  readonly state: RunState | undefined;
  readonly driver: Driver;
  readonly members: Members;
  readonly nonces: Nonces;
  readonly waiters: Waiters;
  readonly uploads: UploadBook;
  readonly waitingRoom: WaitingRoom;
  /** By client: when it was last heard, in this process. */
  readonly lastSeenMs: Map<string, number>;
  works(): Promise<RunWorks>;
  submit(event: RunEvent): Promise<Step>;
  status(): RunSummary['status'];
  /** Why it stands, or how it ended. */
  reason(): string | null;
  changeRecord(change: (record: RunRecord) => RunRecord): Promise<void>;
  /** Every event, from the journal. */
  events(): Promise<RunEvent[]>;
  /** What is under way for the key already, or what `act` begins. */
  once<T>(key: string, act: () => Promise<T>): Promise<T>;
  /** Nobody should wait here any longer. */
  readonly closed: boolean;
  /** Whoever waits is answered; nobody waits any more. */
  release(): void;
  close(): Promise<void>;
}

export interface LeadOptions {
  readonly fence: Fence;
  readonly record: RunRecord;
  /** Opened already. */
  readonly works?: RunWorks | undefined;
  readonly onBroken: (cause: unknown) => void;
}

/** Throws what journals and works throw; nothing is left open then. */
export async function leadRun(context: Context, run: string, options: LeadOptions): Promise<LedRun> {
  const journal = await context.parts.store.journals.open(run, options.fence);
  const desk = createDesk(context, run, options);
  try {
    const recovered = await recover(journal, context.machine);
    const led = await assemble(context, journal, recovered, desk, options);
    await led.takeUp();
    return led;
  } catch (cause) {
    await journal.close();
    await desk.closeWorks();
    throw cause;
  }
}

/** The run's record and works, and what hinders it: what exists before there is a state. */
interface Desk {
  readonly run: string;
  record: RunRecord;
  hindered: string | null;
  works(): Promise<RunWorks>;
  closeWorks(): Promise<void>;
  changeRecord(change: (record: RunRecord) => RunRecord): Promise<void>;
}

function createDesk({ parts }: Context, run: string, { record, works: given }: LeadOptions): Desk {
  let opened = given === undefined ? undefined : Promise.resolve(given);
  const desk: Desk = {
    run,
    record,
    hindered: null,
    works() {
      opened ??= parts.openWorks(run, desk.record.recipe);
      return opened;
    },
    async closeWorks() {
      const closing = opened;
      opened = undefined;
      // What could not be opened need not be closed.
      const works = await closing?.catch(() => undefined);
      await works?.close();
    },
    async changeRecord(change) {
      const { records } = parts.store;
      const next = await changeRecord(records, 'runs', run, (known) => change(known ?? desk.record));
      if (next !== undefined) desk.record = next;
    },
  };
  return desk;
}

async function assemble(
  context: Context,
  journal: Journal,
  recovered: Recovered,
  desk: Desk,
  { fence, onBroken }: LeadOptions,
): Promise<LedRun & { takeUp(): Promise<void> }> {
  const { parts, limits, garbage, machine } = context;
  const { store, clock, timers, log, blobs } = parts;
  const { run, works } = desk;
  const driver = createDriver(
    {
      journal,
      machine,
      clock,
      snapshotEvents: limits.snapshotEvents,
      onCommitted: (committed) => follow(followers, committed),
      onAppended: (events, tookMs) => parts.observe?.({ type: 'append', run, events, tookMs }),
      onBroken,
      onSnapshotFailed: (cause) => log.warn('snapshot-failed', { run, reason: messageOf(cause) }),
    },
    recovered,
  );
  const { submit } = driver;
  const waiters = createWaiters(timers);
  const deadlines = createDeadlines(clock, timers, submit);
  const uploads = createUploadBook(blobs.uploads, run, LIMITS.chunkBytes);
  const state = () => driver.state;
  const serverWork = createServerWork({ run, works, state, submit, blobs, garbage, clock, timers, log });
  const { records } = store;
  /** Records have no fence: whoever wrote one while somebody else took over must not say that it is done. */
  const confirm = async () => {
    if (await store.leases.renew(fence, limits.leaseMs)) return;
    const lost = lostLease(fence, run);
    onBroken(lost);
    throw lost;
  };
  const waitingRoom = await openWaitingRoom({
    run,
    records,
    works,
    submit,
    garbage,
    log,
    timers,
    confirm,
    mayBegin: () => driver.state === undefined && desk.record.paused === null && desk.record.over === null,
    onHindered(reason) {
      desk.hindered = reason;
    },
  });
  const acts = new Map<string, Promise<unknown>>();
  let closed = false;
  const release = () => {
    closed = true;
    waiters.wakeAll();
  };
  let ending: Promise<void> = Promise.resolve();
  const conclude = (last: RunState) => {
    ending = writeEnd(context, desk, journal, last);
    return ending;
  };
  const followers = { context, run, driver, waiters, deadlines, uploads, serverWork, conclude };
  return {
    run,
    sinceMs: clock.nowMs(),
    get record() {
      return desk.record;
    },
    get state() {
      return driver.state;
    },
    driver,
    members: await openMembers(records, run, confirm),
    nonces: createNonces(2000 * LIMITS.clockSkewSeconds),
    waiters,
    uploads,
    waitingRoom,
    lastSeenMs: new Map(),
    works,
    submit,
    status: () => statusOf(driver.state, desk.record),
    reason: () => driver.state?.failure ?? driver.state?.paused ?? recordedReason(desk),
    async changeRecord(change) {
      await desk.changeRecord(change);
      await confirm();
    },
    events: () => eventsOf(journal),
    once<T>(key: string, act: () => Promise<T>) {
      const running = acts.get(key) ?? act().finally(() => acts.delete(key));
      acts.set(key, running);
      return running as Promise<T>;
    },
    get closed() {
      return closed;
    },
    takeUp: () => takeUp(desk, followers, waitingRoom),
    release,
    async close() {
      release();
      deadlines.close();
      waitingRoom.close();
      await serverWork.close();
      await driver.close();
      await ending;
      await journal.close();
      await desk.closeWorks();
    },
  };
}

type Followers = Parameters<typeof follow>[0] & { readonly serverWork: ServerWork };

/** Whatever was under way when the last process stopped. */
async function takeUp(desk: Desk, followers: Followers, waitingRoom: WaitingRoom): Promise<void> {
  if (desk.record.over !== null) return;
  checkManifest(desk, await desk.works());
  const { driver, deadlines, serverWork, uploads } = followers;
  const { state } = driver;
  if (state === undefined) return waitingRoom.tryToBegin();
  if (state.status !== 'running') return followers.conclude(state);
  await driver.submit({ type: 'resumed' });
  deadlines.arm(state, driver.times);
  serverWork.launchOutstanding(state);
  await waitingRoom.admitOverlooked(state);
  await uploads.dropLeftovers(oldestWelcome(state));
}

/** The run is over: figures and reports, then its record says so. Repeated at the next start when it fails. */
async function writeEnd({ parts }: Context, desk: Desk, journal: Journal, state: RunState): Promise<void> {
  const { status, failure: reason } = state;
  if (status === 'running') return;
  try {
    await (await desk.works()).report(await eventsOf(journal));
    const blobs = [...liveBlobs(state)].sort();
    await desk.changeRecord((record) => ({ ...record, over: { status, reason, blobs } }));
    await desk.closeWorks();
    parts.log.info('run-over', { run: desk.run, status, reason });
    parts.observe?.({ type: 'over', run: desk.run, status, reason });
  } catch (cause) {
    desk.hindered = `the reports could not be written: ${messageOf(cause)}`;
    parts.log.warn('report-failed', { run: desk.run, reason: messageOf(cause) });
  }
}

/** Also of a run that is led elsewhere. */
export function statusOf(state: RunState | undefined, record: RunRecord): RunSummary['status'] {
  if (state === undefined) return record.over?.status ?? (record.paused === null ? 'waiting' : 'paused');
  return state.status === 'running' && state.paused !== null ? 'paused' : state.status;
}

function recordedReason({ record, hindered }: Desk): string | null {
  return record.over?.reason ?? record.paused ?? hindered;
}

/** What owners agreed to is what runs. Throws RUN_EXISTS. */
function checkManifest({ run, record }: Desk, works: RunWorks): void {
  const text = canonicalJson({ protocol: PROTOCOL_VERSION, run, ...works.manifest });
  if (text === record.manifest.text) return;
  throw new HeadwaterError('RUN_EXISTS', `the run "${run}" was made from another recipe, model or data`, {
    hint: 'Undo the change to continue it, or serve the changed recipe under another name.',
  });
}
