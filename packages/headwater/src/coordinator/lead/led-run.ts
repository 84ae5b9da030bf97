/**
 * A run that this process leads: its driver, its members, whoever waits for it and its own work, from opening the journal to
 * closing it. Requests come from the handlers; who may lead is decided in `leadership.ts`.
 */

import { messageOf } from '../../base/errors.ts';
import type { RunEvent } from '../../federation/events.ts';
import type { Step } from '../../federation/machine.ts';
import type { RunState } from '../../federation/state.ts';
import { LIMITS } from '../../federation/wire/messages.ts';
import { lostLease } from '../../storage/failures.ts';
import type { Journal } from '../../storage/journal.ts';
import type { Fence } from '../../storage/store.ts';
import type { Context } from '../context.ts';
import { checkManifest, createDesk, type Desk, recordedReason, statusOf, writeEnd } from '../desk.ts';
import { createAttemptRecords } from '../masks/attempt-records.ts';
import { maskFacts } from '../masks/context.ts';
import { createSecureRounds, type SecureRounds } from '../masks/secure-rounds.ts';
import { createUnmasking, type Unmasking } from '../masks/unmasking.ts';
import { type Members, openMembers } from '../members.ts';
import type { RunSummary, RunWorks } from '../ports.ts';
import type { RunRecord } from '../records.ts';
import { createNonces, type Nonces } from '../requests/nonces.ts';
import { createDeadlines } from './deadlines.ts';
import { createDriver, type Driver, type DriverParts } from './driver.ts';
import { type Followers, follow, oldestWelcome } from './follow.ts';
import { createHandedOut, type HandedOut } from './handed-out.ts';
import { createKeyCleaning, type KeyCleaning } from './key-cleaning.ts';
import { createNoiseKeys } from './noise-keys.ts';
import { type Recovered, recover } from './recover.ts';
import { createServerWork } from './server-work.ts';
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
  readonly secureRounds: SecureRounds;
  readonly waitingRoom: WaitingRoom;
  /** By client: when it was last heard, in this process. */
  readonly lastSeenMs: Map<string, number>;
  readonly handedOut: HandedOut;
  works(): Promise<RunWorks>;
  submit(event: RunEvent): Promise<Step>;
  status(): RunSummary['status'];
  /** Why it stands, or how it ended. */
  reason(): string | null;
  changeRecord(change: (record: RunRecord) => RunRecord): Promise<void>;
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
  const desk = createDesk(context, run, options.record, options.works);
  let pieces: Pieces | undefined;
  try {
    const recovered = await recover(journal, context.machine);
    pieces = await openPieces(context, journal, recovered, desk, options);
    const led = ledRunOf(pieces);
    await takeUp(pieces);
    return led;
  } catch (cause) {
    if (pieces !== undefined) await closePieces(pieces);
    else {
      await journal.close();
      await desk.closeWorks();
    }
    throw cause;
  }
}

interface Pieces extends Followers {
  readonly desk: Desk;
  readonly journal: Journal;
  readonly members: Members;
  readonly waitingRoom: WaitingRoom;
  readonly keyCleaning: KeyCleaning;
  readonly secureRounds: SecureRounds;
  /**
   * Records have no fence: whoever wrote one while another process took over, or this one took the run up anew, must not
   * say that it is done.
   */
  confirm(): Promise<void>;
  /** From now on nothing is confirmed. */
  giveUp(): void;
  /** The reports of a run that is over. */
  ending(): Promise<void>;
}

async function openPieces(
  context: Context,
  journal: Journal,
  recovered: Recovered,
  desk: Desk,
  { fence, onBroken }: LeadOptions,
): Promise<Pieces> {
  const { parts, garbage } = context;
  const { store, clock, timers, log, blobs } = parts;
  const { run, works } = desk;
  const driver = openDriver(context, run, journal, recovered, {
    onCommitted: (committed) => follow(pieces, committed),
    onBroken,
  });
  const { submit } = driver;
  const state = () => driver.state;
  let givenUp = false;
  const confirm = async () => {
    // Reading is enough, and flushes nothing: whoever takes the lease later finds what was written before.
    const held = await store.leases.holds(fence);
    if (held && !givenUp) return;
    const lost = lostLease(fence, run);
    if (!givenUp) onBroken(lost);
    throw lost;
  };
  const members = await openMembers(store.records, run, confirm);
  const waiters = createWaiters(timers);
  const secureRounds = createSecureRounds({
    ...{ run, state, submit, members, timers, log },
    records: createAttemptRecords(store.records, run, confirm),
    maskFacts: async (round) => maskFacts(await works(), driver.state!.plan, round),
    sign: (message) => context.operatorKey.sign(message),
    verify: parts.signatures.verify,
    wake: waiters.wake,
  });
  const helper = createUnmasking(context, { run, record: () => desk.record });
  const unmasking: Unmasking = {
    open: (work, facts) =>
      state()?.plan.secureAggregation?.mode === 'secagg-plus'
        ? secureRounds.open(work)
        : helper.open(work, facts),
  };
  const noiseKeys = createNoiseKeys({ run, records: store.records, entropy: parts.entropy, confirm });
  const keyCleaning = createKeyCleaning({ run, keys: noiseKeys, state, timers, log });
  let ending: Promise<void> = Promise.resolve();
  const { records } = store;
  const pieces: Pieces = {
    context,
    run,
    desk,
    journal,
    driver,
    waiters,
    secureRounds,
    deadlines: createDeadlines(clock, timers, submit),
    uploads: createUploadBook(blobs.uploads, run, LIMITS.chunkBytes),
    keyCleaning,
    serverWork: createServerWork({
      ...{ run, works, state, submit, noiseKeys, keyCleaning, unmasking, blobs, garbage, clock, timers, log },
    }),
    members,
    waitingRoom: await openWaitingRoom({
      ...{ run, records, works, submit, garbage, log, timers, confirm },
      mayBegin: () => driver.state === undefined && desk.record.paused === null && desk.record.over === null,
      onHindered(reason) {
        desk.hindered = reason;
      },
    }),
    confirm,
    giveUp() {
      givenUp = true;
    },
    conclude(last) {
      ending = (async () => {
        // What is over is not taken up again, which would destroy what is left.
        if (await keyCleaning.untilDone()) await writeEnd(context, desk, journal, last);
      })();
      return ending;
    },
    ending: () => ending,
  };
  return pieces;
}

function openDriver(
  { parts, machine, limits }: Context,
  run: string,
  journal: Journal,
  recovered: Recovered,
  hooks: Pick<DriverParts, 'onCommitted' | 'onBroken'>,
): Driver {
  const { clock, log } = parts;
  const { snapshotEvents } = limits;
  return createDriver(
    {
      ...{ journal, machine, clock, snapshotEvents, ...hooks },
      onAppended: (events, tookMs) => parts.observe?.({ type: 'append', run, events, tookMs }),
      onSnapshotFailed: (cause) => log.warn('snapshot-failed', { run, reason: messageOf(cause) }),
    },
    recovered,
  );
}

function ledRunOf(pieces: Pieces): LedRun {
  const { context, run, desk, driver, members, waiters, uploads, secureRounds, waitingRoom, confirm } =
    pieces;
  const acts = new Map<string, Promise<unknown>>();
  let closed = false;
  const release = () => {
    closed = true;
    waiters.wakeAll();
  };
  return {
    ...{ run, driver, members, waiters, uploads, secureRounds, waitingRoom, release },
    sinceMs: context.parts.clock.nowMs(),
    nonces: createNonces(2000 * LIMITS.clockSkewSeconds),
    lastSeenMs: new Map(),
    handedOut: createHandedOut(),
    works: desk.works,
    submit: driver.submit,
    get record() {
      return desk.record;
    },
    get state() {
      return driver.state;
    },
    get closed() {
      return closed;
    },
    status: () => statusOf(driver.state, desk.record),
    reason: () => driver.state?.failure ?? driver.state?.paused ?? recordedReason(desk),
    async changeRecord(change) {
      await desk.changeRecord(change);
      await confirm();
    },
    once<T>(key: string, act: () => Promise<T>) {
      const running = acts.get(key) ?? act().finally(() => acts.delete(key));
      acts.set(key, running);
      return running as Promise<T>;
    },
    async close() {
      release();
      await closePieces(pieces);
    },
  };
}

async function closePieces(pieces: Pieces): Promise<void> {
  pieces.giveUp();
  pieces.deadlines.close();
  pieces.waitingRoom.close();
  pieces.secureRounds.close();
  pieces.keyCleaning.close();
  await pieces.serverWork.close();
  await pieces.driver.close();
  await pieces.ending();
  await pieces.journal.close();
  await pieces.desk.closeWorks();
}

/** Whatever was under way when the last process stopped. */
async function takeUp({ desk, waitingRoom, conclude, ...pieces }: Pieces): Promise<void> {
  if (desk.record.over !== null) return;
  checkManifest(desk, await desk.works());
  const { driver, deadlines, serverWork, uploads } = pieces;
  const { state } = driver;
  if (state === undefined) return waitingRoom.tryToBegin();
  await pieces.keyCleaning.now();
  if (state.status !== 'running') return conclude(state);
  await driver.submit({ type: 'resumed' });
  deadlines.arm(state, driver.times);
  serverWork.launchOutstanding(state);
  if (state.plan.secureAggregation?.mode === 'secagg-plus') pieces.secureRounds.follow();
  await waitingRoom.admitOverlooked(state);
  await uploads.dropLeftovers(oldestWelcome(state));
}
