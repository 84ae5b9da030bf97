/**
 * Which runs this process leads: takes leases, opens their runs, renews, and steps down when a lease is lost. One leader
 * a run; the journal refuses whoever was overtaken.
 */

import { HeadwaterError, messageOf } from '../../base/errors.ts';
import type { Fence } from '../../storage/store.ts';
import { followCommands } from '../commands.ts';
import type { Context } from '../context.ts';
import type { RunWorks } from '../ports.ts';
import { listRecords, type RunRecord, readRecord } from '../records.ts';
import { type LedRun, leadRun } from './led-run.ts';

export type Found =
  | { readonly kind: 'led'; readonly led: LedRun }
  /** Led by another process. */
  | { readonly kind: 'elsewhere'; readonly node: string }
  /** Nobody leads it at present; tried again soon. */
  | { readonly kind: 'hindered'; readonly reason: string }
  | { readonly kind: 'unknown' };

export interface Leadership {
  /** Tries to lead the run if nobody does. `works`: opened already. */
  find(run: string, works?: RunWorks): Promise<Found>;
  all(): readonly LedRun[];
  /** Leads what nobody leads, now and again and again. */
  start(): Promise<void>;
  /** Gives all leases back. */
  close(): Promise<void>;
}

interface Seat {
  readonly fence: Fence;
  renewedMs: number;
  /** Undefined while the run is being opened: that may take longer than a lease lasts. */
  led: LedRun | undefined;
  /** Ends following what the operator asks for at other processes. */
  unfollow: () => void;
}

export const leaseOf = (run: string) => `run/${run}`;
/** After a failure the run is left alone for so long. */
const COOLDOWN_MS = 2_000;

export function createLeadership(context: Context): Leadership {
  const { parts, limits } = context;
  const { store, clock, timers, log } = parts;
  const seats = new Map<string, Seat>();
  const opening = new Map<string, Promise<Found>>();
  const hindered = new Map<string, { readonly reason: string; readonly untilMs: number }>();
  const leaving = new Map<string, Promise<void>>();
  let cancelTimer = () => {};
  let taking = false;
  let closed = false;

  async function find(run: string, works?: RunWorks): Promise<Found> {
    const led = seats.get(run)?.led;
    if (led !== undefined) return { kind: 'led', led };
    const known = hindered.get(run);
    if (known !== undefined && works === undefined && clock.nowMs() < known.untilMs)
      return { kind: 'hindered', reason: known.reason };
    if (leaving.has(run)) return { kind: 'hindered', reason: 'the run is being taken up anew' };
    const running = opening.get(run) ?? take(run, works).finally(() => opening.delete(run));
    opening.set(run, running);
    return running;
  }

  async function take(run: string, works: RunWorks | undefined): Promise<Found> {
    if (closed) return { kind: 'hindered', reason: 'this process is stopping' };
    const record = await readRecord(store.records, 'runs', run);
    if (record === undefined) return { kind: 'unknown' };
    const fence = await store.leases.acquire(leaseOf(run), parts.node, limits.leaseMs);
    if (fence === undefined) {
      const node = await store.leases.holderOf(leaseOf(run));
      return node === undefined || node === parts.node
        ? { kind: 'hindered', reason: 'the run changes hands' }
        : { kind: 'elsewhere', node };
    }
    const seat: Seat = { fence, renewedMs: clock.nowMs(), led: undefined, unfollow: () => {} };
    seats.set(run, seat);
    try {
      return { kind: 'led', led: await open(run, seat, record, works) };
    } catch (cause) {
      seats.delete(run);
      await store.leases
        .release(fence)
        .catch((error) => log.warn('lease-not-released', { run, reason: messageOf(error) }));
      return hinder(run, cause);
    }
  }

  async function open(
    run: string,
    seat: Seat,
    record: RunRecord,
    works: RunWorks | undefined,
  ): Promise<LedRun> {
    const { fence } = seat;
    const onBroken = (cause: unknown) => leave(run, messageOf(cause));
    const led = await leadRun(context, run, { fence, record, works, onBroken });
    if (seats.get(run) !== seat) {
      await led.close();
      throw new Error('the lease went to another process while the run was opened');
    }
    seat.led = led;
    if (!parts.exclusive)
      seat.unfollow = followCommands(store, timers, led, (cause) =>
        log.warn('commands-not-followed', { run, reason: messageOf(cause) }),
      );
    hindered.delete(run);
    log.info('leading', { run, epoch: fence.epoch });
    parts.observe?.({ type: 'leading', run, leads: true });
    return led;
  }

  function hinder(run: string, cause: unknown): Found {
    const reason = cause instanceof HeadwaterError ? cause.format() : messageOf(cause);
    log.warn('run-not-led', { run, reason });
    hindered.set(run, { reason, untilMs: clock.nowMs() + COOLDOWN_MS });
    return { kind: 'hindered', reason };
  }

  /** Lost, or broken: whoever leads next begins with what is durable. */
  function leave(run: string, reason: string): void {
    const seat = seats.get(run);
    if (seat === undefined) return;
    seats.delete(run);
    hindered.set(run, { reason, untilMs: clock.nowMs() + COOLDOWN_MS });
    log.warn('leadership-ended', { run, reason });
    parts.observe?.({ type: 'leading', run, leads: false });
    // Who is still opening it notices by itself.
    if (seat.led === undefined) return;
    // The lease is given back last: until then nobody here may take it again.
    const left = giveBack(seat).finally(() => leaving.delete(run));
    leaving.set(run, left);
  }

  async function giveBack({ led, fence, unfollow }: Seat): Promise<void> {
    unfollow();
    try {
      await led?.close();
      await store.leases.release(fence);
    } catch (cause) {
      log.warn('run-not-closed', { lease: fence.key, reason: messageOf(cause) });
    }
  }

  async function renew(run: string, seat: Seat): Promise<void> {
    try {
      if (await store.leases.renew(seat.fence, limits.leaseMs)) seat.renewedMs = clock.nowMs();
      else leave(run, 'the lease went to another process');
    } catch (cause) {
      if (clock.nowMs() - seat.renewedMs > limits.leaseMs)
        leave(run, `lease not renewed: ${messageOf(cause)}`);
    }
  }

  async function takeWhatIsFree(): Promise<void> {
    const runs = await listRecords(store.records, 'runs');
    const free = runs.filter(({ key, value }) => value.over === null && !seats.has(key));
    await Promise.all(free.map(({ key }) => find(key)));
  }

  function takeInTheBackground(): void {
    if (taking) return;
    taking = true;
    takeWhatIsFree()
      .catch((cause) => log.warn('runs-not-listed', { reason: messageOf(cause) }))
      .finally(() => {
        taking = false;
      });
  }

  /** Leases are renewed on time, whatever else takes long. */
  async function tend(): Promise<void> {
    takeInTheBackground();
    await Promise.all([...seats].map(([run, seat]) => renew(run, seat)));
    plan();
  }

  function plan(): void {
    if (!closed) cancelTimer = timers.after(limits.leaseMs / 3, tend);
  }

  return {
    find,
    all: () => [...seats.values()].flatMap(({ led }) => (led === undefined ? [] : [led])),
    async start() {
      plan();
      await takeWhatIsFree();
    },
    async close() {
      closed = true;
      cancelTimer();
      await Promise.all(opening.values());
      const left = [...seats.values()];
      seats.clear();
      await Promise.all([...left.map(giveBack), ...leaving.values()]);
    },
  };
}
