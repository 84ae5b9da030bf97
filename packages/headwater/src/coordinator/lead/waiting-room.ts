/**
 * A run before its first event: owners enrol until there are enough, then the plan is made and the run begins. It is tried
 * again when only the storage failed.
 */

import type { Timers } from '../../base/clock.ts';
import { HeadwaterError, messageOf } from '../../base/errors.ts';
import { median } from '../../base/median.ts';
import type { RunEvent } from '../../federation/events.ts';
import type { Step } from '../../federation/machine.ts';
import type { OwnerCounts } from '../../federation/plan.ts';
import type { RunState } from '../../federation/state.ts';
import type { Records } from '../../storage/store.ts';
import type { InitialParams, Log, RunWorks } from '../ports.ts';
import { changeRecord, listRecords } from '../records.ts';
import type { Garbage } from '../upkeep/garbage.ts';

const RETRY_MS = 5_000;

export interface WaitingRoom {
  readonly numOwners: number;
  enrol(counts: OwnerCounts): Promise<void>;
  /** The owner is not waited for any more. */
  remove(owner: string): Promise<void>;
  /** Begins the run when it can begin and `mayBegin` says so. */
  tryToBegin(): void;
  /** Who enrolled while the plan was being made is not in it, and joins late; who cannot is named in the log. */
  admitOverlooked(state: RunState): Promise<void>;
  /** Of a run that has begun: an owner that enrolled and is not in it. Throws AGGREGATION_OVERFLOW, PRIVACY_INVALID. */
  admit(owner: string): Promise<void>;
  close(): void;
}

export interface WaitingRoomParts {
  readonly run: string;
  readonly records: Records;
  readonly works: () => Promise<RunWorks>;
  readonly mayBegin: () => boolean;
  readonly submit: (event: RunEvent) => Promise<Step>;
  readonly garbage: Garbage;
  readonly log: Log;
  readonly timers: Timers;
  /** Throws when another process leads the run, which then knows nothing of what was just written. */
  readonly confirm: () => Promise<void>;
  /** The run cannot begin, now or ever, with these owners; null: it has begun. */
  readonly onHindered: (reason: string | null) => void;
}

export async function openWaitingRoom(parts: WaitingRoomParts): Promise<WaitingRoom> {
  const { run, records } = parts;
  const enrolled = new Map<string, OwnerCounts>();
  for (const { value } of await listRecords(records, 'enrolments', `${run}/`))
    enrolled.set(value.owner, value);
  let initial: Promise<InitialParams> | undefined;
  let beginning = false;
  let cancelRetry = () => {};

  async function begin(works: RunWorks): Promise<void> {
    initial ??= works.init();
    const made = await initial;
    const release = await parts.garbage.pin(made.params);
    try {
      const owners = [...enrolled.values()].sort((a, b) => (a.owner < b.owner ? -1 : 1));
      const { plan, provenance } = await planWithin(works, made, owners);
      const { state } = await parts.submit({ type: 'created', plan, provenance });
      await admitOverlooked(state);
    } finally {
      release();
    }
  }

  /**
   * Whose claim no sum could hold beside those of enough others stays outside: one owner must not keep all from beginning. Who fits in
   * after all joins late.
   */
  async function planWithin(works: RunWorks, made: InitialParams, owners: readonly OwnerCounts[]) {
    try {
      return await works.plan(made, owners);
    } catch (cause) {
      const far = isOverflow(cause) ? farAmong(owners) : [];
      if (far.length === 0) throw cause;
      const inside = owners.filter((counts) => !far.includes(counts));
      const claims = far
        .map(({ owner, numExamples }) => `"${owner}" claims ${numExamples} examples`)
        .join(', ');
      const reason = `${claims}, far from the others: ${messageOf(cause)}`;
      if (inside.length < works.minOwners)
        throw new HeadwaterError('AGGREGATION_OVERFLOW', reason, {
          hint: 'Lower federation.fixedPoint.fractionBits, use federation.weighting: uniform, or wait for other owners.',
        });
      parts.log.warn('owners-not-counted', { run, reason });
      return works.plan(made, inside);
    }
  }

  async function admit(owner: string): Promise<void> {
    const counts = enrolled.get(owner);
    if (counts !== undefined) await parts.submit({ type: 'owner-joined', counts });
  }

  async function admitOverlooked({ roster }: RunState): Promise<void> {
    for (const owner of [...enrolled.keys()])
      if (!Object.hasOwn(roster, owner))
        await admit(owner).catch((cause) => {
          if (!(cause instanceof HeadwaterError) || isPassing(cause)) throw cause;
          parts.log.warn('owner-not-admitted', { run, owner, reason: cause.message });
        });
  }

  async function attempt(): Promise<void> {
    const works = await parts.works();
    if (beginning || enrolled.size < works.minOwners || !parts.mayBegin()) return;
    beginning = true;
    try {
      await begin(works);
      parts.onHindered(null);
    } catch (cause) {
      initial = undefined;
      const reason = cause instanceof HeadwaterError ? cause.format() : messageOf(cause);
      parts.log.warn('run-not-begun', { run, reason });
      parts.onHindered(reason);
      if (isPassing(cause)) cancelRetry = parts.timers.after(RETRY_MS, tryToBegin);
    } finally {
      beginning = false;
    }
  }

  function tryToBegin(): void {
    attempt().catch((cause) => parts.onHindered(messageOf(cause)));
  }

  return {
    get numOwners() {
      return enrolled.size;
    },
    async enrol(counts) {
      await changeRecord(records, 'enrolments', `${run}/${counts.owner}`, () => counts);
      await parts.confirm();
      enrolled.set(counts.owner, counts);
    },
    async remove(owner) {
      await records.delete('enrolments', `${run}/${owner}`);
      await parts.confirm();
      enrolled.delete(owner);
    },
    tryToBegin,
    admitOverlooked,
    admit,
    close: () => cancelRetry(),
  };
}

function isOverflow(cause: unknown): boolean {
  return cause instanceof HeadwaterError && cause.code === 'AGGREGATION_OVERFLOW';
}

/** Times the median claim. */
const FAR = 1000;

function farAmong(owners: readonly OwnerCounts[]): OwnerCounts[] {
  const examples = FAR * lowerMedian(owners.map(({ numExamples }) => numExamples));
  const tokens = FAR * lowerMedian(owners.map(({ numTokens }) => numTokens));
  return owners.filter(({ numExamples, numTokens }) => numExamples > examples || numTokens > tokens);
}

/** Of two, the smaller. */
function lowerMedian(values: readonly number[]): number {
  return -median(values.map((value) => -value));
}

/** Not: a recipe that does not fit these owners. */
function isPassing(cause: unknown): boolean {
  return (
    cause instanceof HeadwaterError && (cause.code === 'STORAGE_FAILED' || cause.code === 'CONNECTION_FAILED')
  );
}
