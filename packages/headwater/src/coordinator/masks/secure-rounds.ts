/**
 * SecAgg+ in a run: takes what owners say, writes it down, moves the attempt on when everybody has answered or a step's time is up,
 * and gives it up when too few are left. Who is in the sum is fixed by the run's journal before anybody is asked to open it.
 */

import { toBase64url } from '../../base/base64url.ts';
import type { Timers } from '../../base/clock.ts';
import { assert, HeadwaterError, messageOf } from '../../base/errors.ts';
import type { AggregateWork, RunEvent } from '../../federation/events.ts';
import { attemptOf } from '../../federation/masking/masking-of.ts';
import { awaits } from '../../federation/rounds.ts';
import { entryOf, type OpenRound, type RunState } from '../../federation/state.ts';
import { Refusal } from '../../federation/wire/refusals.ts';
import type {
  SecureRoundAnswer,
  SecureRoundRequest,
  SecureSaid,
} from '../../federation/wire/secure-rounds.ts';
import { graphParameters } from '../../privacy/secure-aggregation/graph.ts';
import { type Attempt, attemptBytes } from '../../privacy/secure-aggregation/secagg-plus/messages.ts';
import {
  checkNewAdvert,
  checkShares,
  isConfirmed,
  withEnoughHolders,
  withoutEnoughHolders,
} from '../../privacy/secure-aggregation/secagg-plus/server.ts';
import type { Session, Verify } from '../../privacy/secure-aggregation/secagg-plus/session.ts';
import { openMasks } from '../../privacy/secure-aggregation/secagg-plus/unmask.ts';
import { inTurn } from '../../storage/in-turn.ts';
import type { Members } from '../members.ts';
import type { Log, MaskFacts } from '../ports.ts';
import type { SecureRoundRecord } from '../records.ts';
import { type AttemptRecords, apply } from './attempt-records.ts';
import { type AttemptView, nextFor, sessionOf, setsOf } from './attempt-view.ts';
import type { Opened } from './unmasking.ts';

export interface SecureRounds {
  /** What comes next for the owner, after what it says. Throws Refusal. */
  converse(owner: string, request: SecureRoundRequest): Promise<SecureRoundAnswer>;
  /** Whether the owner may hand in a masked update now. */
  mayUpload(owner: string): Promise<boolean>;
  /** After each change of the run. */
  follow(): void;
  /** The masks of the frozen members; `abandoned`: there will be none. */
  open(work: AggregateWork): Promise<Opened>;
  close(): void;
}

export interface SecureRoundsParts {
  readonly run: string;
  readonly records: AttemptRecords;
  readonly state: () => RunState | undefined;
  readonly submit: (event: RunEvent) => Promise<unknown>;
  readonly members: Pick<Members, 'clientOf'>;
  readonly maskFacts: (round: number) => Promise<MaskFacts>;
  /** The operator's signature. */
  readonly sign: (message: Uint8Array) => Promise<Uint8Array>;
  readonly verify: Verify;
  readonly wake: (owner: string) => void;
  readonly timers: Timers;
  readonly log: Log;
}

/** While everybody answers this is never waited for. */
const DEFAULT_STEP_MS = 120_000;

interface Opening {
  readonly view: AttemptView;
  readonly resolve: (opened: Opened) => void;
  readonly reject: (cause: unknown) => void;
}

export function createSecureRounds(parts: SecureRoundsParts): SecureRounds {
  const turn = inTurn();
  let view: AttemptView | undefined;
  let opening: Opening | undefined;
  let step: { readonly name: string; expired: boolean; readonly cancel: () => void } | undefined;
  let closed = false;

  /** Of the open round's attempt, as it stands in the store. */
  async function viewOf({ round, ...open }: OpenRound): Promise<AttemptView> {
    const number = attemptOf(open);
    if (view?.round !== round || view.number !== number) {
      view = await parts.records.load(round, number);
      await parts.records.removeOthers(view);
    }
    return view;
  }

  /** In its turn. Repeats while something changes, because a change may be what the next step waited for. */
  async function advance(): Promise<void> {
    for (;;) {
      const state = parts.state();
      if (closed || state?.status !== 'running' || state.open === undefined) return rest(state);
      const { open } = state;
      const known = await viewOf(open);
      if (opening !== undefined && opening.view !== known) settle({ kind: 'abandoned' });
      if (state.paused !== null) return;
      if (!(await moved(state, open, known))) return;
    }
  }

  async function rest(state: RunState | undefined): Promise<void> {
    step?.cancel();
    step = undefined;
    if (state !== undefined && state.open === undefined && view !== undefined) {
      view = undefined;
      await parts.records.removeOthers(undefined);
    }
    if (opening !== undefined) settle({ kind: 'abandoned' });
  }

  function moved(state: RunState, open: OpenRound, known: AttemptView): Promise<boolean> {
    if (open.phase === 'training' && open.keyed === undefined) return fixKeys(state, open, known);
    if (open.phase === 'training') return gather(state, open, known);
    return open.phase === 'aggregating' ? openWhenPossible(state, open, known) : Promise.resolve(false);
  }

  /** U1: all that are waited for, as many as a round takes, or, once its deadline has passed, enough. */
  async function fixKeys(state: RunState, open: OpenRound, known: AttemptView): Promise<boolean> {
    const { quorum, cohortSize, secureAggregation } = state.plan;
    const awaited = open.cohort.filter((owner) => awaits(open, owner));
    const ready = awaited.filter((owner) => known.adverts.has(owner));
    const late = open.extension > 0;
    const enough =
      ready.length >= quorum && graphParameters(ready.length, secureAggregation!.assumed!) !== undefined;
    if (enough && (ready.length === awaited.length || ready.length >= cohortSize || late)) {
      await parts.submit({ type: 'keys-fixed', round: open.round, attempt: known.number, owners: ready });
      wakeAll(ready);
      return true;
    }
    // Who was asked later is not in the roster of this attempt.
    const roster = new Set(known.begun?.attempt.roster.map(({ owner }) => owner));
    const strangers = known.begun === undefined ? [] : awaited.filter((owner) => !roster.has(owner));
    if (strangers.length === 0 || ready.length < awaited.length - strangers.length) return false;
    return abandon(open, known, [], 'further owners were asked, who are not in its roster');
  }

  /** U2 and the vectors. */
  async function gather(state: RunState, open: OpenRound, known: AttemptView): Promise<boolean> {
    const { quorum } = state.plan;
    const awaited = open.cohort.filter((owner) => awaits(open, owner));
    if (awaited.length + Object.keys(open.accepted).length < quorum)
      return abandon(open, known, [], `fewer than ${quorum} owners are left`);
    const session = await sessionOf(known, open);
    if (session === undefined) return abandon(open, known, [], 'what was said before is lost');
    if (known.present === undefined) return fixShares(open, known, session, awaited);
    const absent = awaited.filter((owner) => !known.present!.includes(owner));
    const silent = hasExpired(open, known, 'vectors') ? awaited : absent;
    return lose(open, silent, 'it sent no masked update in time');
  }

  async function fixShares(
    open: OpenRound,
    known: AttemptView,
    session: Session,
    awaited: readonly string[],
  ): Promise<boolean> {
    const sent = awaited.filter((owner) => known.shares.has(owner));
    if (sent.length < awaited.length && !hasExpired(open, known, 'shares')) return false;
    const members = withEnoughHolders(session, sent);
    if (members.length < session.attempt.minOwners)
      return abandon(open, known, without(awaited, sent), `${sent.length} owners shared their keys, too few`);
    await write(known, 'present', { kind: 'present', members });
    wakeAll(members);
    return true;
  }

  /** The sum is opened as soon as every secret has enough shares. */
  async function openWhenPossible(state: RunState, open: OpenRound, known: AttemptView): Promise<boolean> {
    if (opening === undefined) return false;
    const [session, sets] = [await sessionOf(known, open), setsOf(known, open)];
    if (session === undefined || sets === undefined)
      return abandon(open, known, [], 'what was said before is lost');
    const { present } = known;
    const silent = sets.survivors.filter((owner) => !known.unmaskings.has(owner));
    const expired = hasExpired(open, known, 'opening');
    const hopeful = expired
      ? [...known.unmaskings.keys()]
      : sets.survivors.filter((owner) => !known.left.has(owner));
    const lacking = withoutEnoughHolders(session, present!, hopeful);
    if (lacking.length > 0)
      return abandon(open, known, silent, `too few who hold shares of ${lacking.join(', ')} are left`);
    if (withoutEnoughHolders(session, present!, [...known.unmaskings.keys()]).length > 0) return false;
    const found = await openMasks(session, {
      sets,
      shares: Object.fromEntries(known.shares),
      unmaskings: Object.fromEntries(known.unmaskings),
    });
    if (found.masks === undefined) {
      if (silent.length > 0 && !expired) return false;
      return abandon(open, known, silent, `the secrets of ${found.missing.join(', ')} cannot be opened`);
    }
    for (const { of, holders } of found.blamed)
      parts.log.warn('wrong-shares', { run: parts.run, round: open.round, of, holders: holders.join(' ') });
    const groups = [state.open!.members!.map((_, place) => place)];
    settle({ kind: 'opened', order: { groups, masks: [found.masks] }, blob: undefined });
    return false;
  }

  async function lose(open: OpenRound, owners: readonly string[], reason: string): Promise<boolean> {
    for (const owner of owners) {
      await parts.submit({ type: 'client-failed', round: open.round, owner, reason });
      parts.wake(owner);
    }
    return owners.length > 0;
  }

  async function abandon(
    open: OpenRound,
    known: AttemptView,
    gone: readonly string[],
    reason: string,
  ): Promise<boolean> {
    const { round } = open;
    parts.log.warn('attempt-abandoned', { run: parts.run, round, attempt: known.number, reason });
    await parts.submit({ type: 'attempt-abandoned', round, attempt: known.number, gone, reason });
    if (opening?.view === known) settle({ kind: 'abandoned' });
    wakeAll(open.cohort);
    return true;
  }

  function settle(opened: Opened): void {
    opening?.resolve(opened);
    opening = undefined;
  }

  /** Whether the time of this step is up; it begins with the first question. */
  function hasExpired(open: OpenRound, known: AttemptView, name: string): boolean {
    const whole = `${open.round}.${known.number}.${name}`;
    if (step?.name === whole) return step.expired;
    step?.cancel();
    const ms = parts.state()?.plan.secureAggregation?.stepMs ?? DEFAULT_STEP_MS;
    const cancel = parts.timers.after(name === 'opening' ? 2 * ms : ms, () => {
      if (step?.name !== whole) return;
      step.expired = true;
      follow();
    });
    step = { name: whole, expired: false, cancel };
    return false;
  }

  function follow(): void {
    turn('attempt', advance).catch(failed);
  }

  /** A store that fails breaks the driver too, and the run is taken up anew. */
  function failed(cause: unknown): void {
    parts.log.warn('secure-round-failed', { run: parts.run, reason: messageOf(cause) });
  }

  function wakeAll(owners: readonly string[]): void {
    for (const owner of owners) parts.wake(owner);
  }

  async function write(known: AttemptView, name: string, record: SecureRoundRecord): Promise<void> {
    await parts.records.save(known, name, record);
    apply(known, record);
  }

  async function begin(state: RunState, open: OpenRound, known: AttemptView): Promise<void> {
    if (known.begun !== undefined || open.phase !== 'training' || open.keyed !== undefined) return;
    const attempt = await attemptFor(parts, state, open, known.number);
    const signature = toBase64url(await parts.sign(attemptBytes(attempt)));
    await write(known, 'begun', { kind: 'begun', attempt, signature });
  }

  async function take(open: OpenRound, known: AttemptView, owner: string, said: SecureSaid): Promise<void> {
    const { begun } = known;
    if (begun === undefined) return;
    if (said.step === 'leave') return leave(open, known, owner, said.message.reason);
    if (said.step === 'advertise') {
      if (open.keyed !== undefined || said.message.owner !== owner) return;
      const others = [...known.adverts.values()].filter((advert) => advert.owner !== owner);
      await checkNewAdvert(begun.attempt, others, said.message, parts.verify);
      const record = { kind: 'advert', advert: said.message } as const;
      await parts.records.replace(known, `advert/${owner}`, record);
      return apply(known, record);
    }
    const session = await sessionOf(known, open);
    if (session !== undefined) await takeInSession(open, known, session, owner, said);
  }

  async function takeInSession(
    open: OpenRound,
    known: AttemptView,
    session: Session,
    owner: string,
    said: Exclude<SecureSaid, { step: 'leave' | 'advertise' }>,
  ): Promise<void> {
    if (said.step === 'share') {
      if (known.present !== undefined || known.shares.has(owner) || !session.members.includes(owner)) return;
      checkShares(session, owner, said.message);
      return write(known, `shares/${owner}`, { kind: 'shares', owner, shares: said.message });
    }
    const sets = setsOf(known, open);
    if (sets === undefined || !sets.survivors.includes(owner)) return;
    if (said.step === 'unmask') {
      if (known.unmaskings.has(owner)) return;
      return write(known, `unmasked/${owner}`, { kind: 'unmasked', owner, unmasking: said.message });
    }
    if (said.message.owner !== owner || known.confirmations.has(owner)) return;
    if (!(await isConfirmed(session, sets.survivors, said.message, parts.verify)))
      throw new HeadwaterError('SECURE_AGGREGATION_ABORTED', 'it did not sign these survivors');
    await write(known, `confirmed/${owner}`, { kind: 'confirmed', confirmation: said.message });
    wakeAll(session.graph.holders(owner));
  }

  async function leave(open: OpenRound, known: AttemptView, owner: string, reason: string): Promise<void> {
    known.left.add(owner);
    parts.log.warn('left-attempt', { run: parts.run, round: open.round, owner, reason });
    if (open.phase === 'training') await lose(open, [owner], reason);
  }

  async function said(owner: string, { round, said }: SecureRoundRequest): Promise<SecureRoundAnswer> {
    const state = parts.state();
    const open = state?.status === 'running' ? state.open : undefined;
    if (state === undefined || open === undefined || open.round !== round) return NOTHING;
    const known = await viewOf(open);
    await begin(state, open, known);
    if (said !== null && said.attempt === known.number)
      await take(open, known, owner, said.what).catch(asRefusal);
    await advance();
    const after = parts.state();
    if (after?.status !== 'running' || after.open?.round !== round) return NOTHING;
    const next = await viewOf(after.open);
    await begin(after, after.open, next);
    return { attempt: next.number, ...(await nextFor(after, next, owner)) };
  }

  return {
    converse: (owner, request) => turn('attempt', () => said(owner, request)),
    mayUpload: (owner) =>
      turn('attempt', async () => {
        const open = parts.state()?.open;
        if (open === undefined) return false;
        const { present, left } = await viewOf(open);
        return present?.includes(owner) === true && !left.has(owner);
      }),
    follow,
    open: (work) =>
      new Promise((resolve, reject) => {
        if (closed) return reject(new Error('the run is led by nobody here any more'));
        const state = parts.state();
        assert(state?.open?.round === work.round, 'the round whose masks are opened is open');
        const { open } = state;
        turn('attempt', async () => {
          opening = { view: await viewOf(open), resolve, reject };
          wakeAll(open.members?.map(({ owner }) => owner) ?? []);
          await advance();
        }).catch(reject);
      }),
    close() {
      closed = true;
      step?.cancel();
      opening?.reject(new Error('the run is led by nobody here any more'));
    },
  };
}

const NOTHING: SecureRoundAnswer = { attempt: 1, told: null, over: true };

function without(all: readonly string[], some: readonly string[]): string[] {
  return all.filter((owner) => !some.includes(owner));
}

function asRefusal(cause: unknown): never {
  if (cause instanceof HeadwaterError && cause.code === 'SECURE_AGGREGATION_ABORTED')
    throw new Refusal('request-invalid', cause.message);
  throw cause;
}

/** Among those who are asked and have a key. */
async function attemptFor(
  { run, members, maskFacts }: SecureRoundsParts,
  { plan }: RunState,
  open: OpenRound,
  attempt: number,
): Promise<Attempt> {
  const { words, layout } = await maskFacts(open.round);
  const roster = open.cohort.flatMap((owner) => {
    const client = entryOf(open.lost, owner) === undefined ? members.clientOf(owner) : undefined;
    return client === undefined || client.revoked !== null ? [] : [{ owner, identity: client.publicKey }];
  });
  const assumed = plan.secureAggregation!.assumed!;
  return { run, round: open.round, attempt, length: words, layout, minOwners: plan.quorum, assumed, roster };
}
