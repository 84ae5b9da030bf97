/**
 * What moves an attempt on: everybody has answered, or a step's time is up, and whoever is left is enough or not. Each move is an
 * event of the run's journal or a record of the attempt; who is in the sum is fixed before anybody is asked to open it.
 */

import { attemptOf } from '../../federation/masking/masking-of.ts';
import { awaits } from '../../federation/rounds.ts';
import type { OpenRound, RunState } from '../../federation/state.ts';
import type { UnmaskOrder } from '../../jobs/masking.ts';
import {
  withEnoughHolders,
  withoutEnoughHolders,
} from '../../privacy/secure-aggregation/secagg-plus/server.ts';
import { areWhole, canBegin, type Session } from '../../privacy/secure-aggregation/secagg-plus/session.ts';
import { type Mask, openMasks } from '../../privacy/secure-aggregation/secagg-plus/unmask.ts';
import { type AttemptView, sessionOf, setsOf } from './attempt-view.ts';
import { lose, type SecureRoundsParts, wakeAll, write } from './secure-round-parts.ts';
import type { StepClock } from './step-clock.ts';
import type { Opened } from './unmasking.ts';

export interface Moves {
  readonly parts: SecureRoundsParts;
  readonly clock: StepClock;
  /** Whether somebody waits for the masks of this attempt. */
  isAwaited(view: AttemptView): boolean;
  settle(opened: Opened): void;
}

interface Place {
  readonly state: RunState;
  readonly open: OpenRound;
  readonly known: AttemptView;
}

/** While everybody answers this is never waited for. */
const DEFAULT_STEP_MS = 120_000;

/** Whether something moved: then the next step may be possible too. */
export async function moved(
  moves: Moves,
  state: RunState,
  open: OpenRound,
  known: AttemptView,
): Promise<boolean> {
  const place = { state, open, known };
  if (open.phase === 'training' && open.keyed === undefined) return fixKeys(moves, place);
  if (open.phase === 'training') return gather(moves, place);
  return open.phase === 'aggregating' && moves.isAwaited(known) ? openWhenPossible(moves, place) : false;
}

/** U1: all that are waited for, as many as a round takes, or, once its deadline has passed, enough. */
async function fixKeys(moves: Moves, { state, open, known }: Place): Promise<boolean> {
  const { parts } = moves;
  const { quorum, cohortSize, secureAggregation } = state.plan;
  const awaited = open.cohort.filter((owner) => awaits(open, owner));
  const ready = awaited.filter((owner) => known.adverts.has(owner));
  const late = open.extension > 0;
  const { assumed, groupSize } = secureAggregation!;
  const grouped = groupSize === undefined ? {} : { groupSize };
  const enough = canBegin({ minOwners: quorum, assumed: assumed!, ...grouped }, ready.length);
  if (enough && (ready.length === awaited.length || ready.length >= cohortSize || late)) {
    await parts.submit({ type: 'keys-fixed', round: open.round, attempt: known.number, owners: ready });
    wakeAll(parts, open.cohort);
    return true;
  }
  const strangers =
    known.begun === undefined ? [] : awaited.filter((owner) => !mayEnter(parts, known, owner));
  const others = awaited.length - strangers.length;
  if (strangers.length === 0 || (ready.length < others && !late)) return false;
  return abandon(moves, open, known, [], 'owners were asked who cannot enter it any more');
}

/** Who was asked later, or has joined anew, is not in the roster; who left comes back with the next attempt only. */
function mayEnter({ members }: SecureRoundsParts, { begun, left }: AttemptView, owner: string): boolean {
  const listed = begun!.attempt.roster.find((member) => member.owner === owner);
  return !left.has(owner) && listed !== undefined && listed.identity === members.clientOf(owner)?.publicKey;
}

/** U2 and the vectors. */
async function gather(moves: Moves, { state, open, known }: Place): Promise<boolean> {
  const { quorum } = state.plan;
  const awaited = open.cohort.filter((owner) => awaits(open, owner));
  if (awaited.length + Object.keys(open.accepted).length < quorum)
    return abandon(moves, open, known, [], `fewer than ${quorum} owners are left`);
  const session = await sessionOf(known, open);
  if (session === undefined) return abandon(moves, open, known, [], 'what was said before is lost');
  const { present } = known;
  if (present === undefined) return fixShares(moves, { state, open, known }, session, awaited);
  const absent = awaited.filter((owner) => !present.includes(owner));
  const silent = hasExpired(moves, { state, open, known }, 'vectors') ? awaited : absent;
  return lose(moves.parts, open, silent, 'it sent no masked update in time');
}

async function fixShares(
  moves: Moves,
  { state, open, known }: Place,
  session: Session,
  awaited: readonly string[],
): Promise<boolean> {
  const sent = awaited.filter((owner) => known.shares.has(owner));
  if (sent.length < awaited.length && !hasExpired(moves, { state, open, known }, 'shares')) return false;
  const members = withEnoughHolders(session, sent);
  if (members.length < session.attempt.minOwners || !areWhole(session, members)) {
    const gone = awaited.filter((owner) => !sent.includes(owner));
    return abandon(moves, open, known, gone, `${sent.length} owners shared their keys, too few`);
  }
  await write(moves.parts, known, 'present', { kind: 'present', members });
  wakeAll(moves.parts, members);
  return true;
}

/** The sum is opened as soon as every secret has enough shares. */
async function openWhenPossible(moves: Moves, { state, open, known }: Place): Promise<boolean> {
  const [session, sets] = [await sessionOf(known, open), setsOf(known, open)];
  if (session === undefined || sets === undefined)
    return abandon(moves, open, known, [], 'what was said before is lost');
  const present = known.present!;
  if (!areWhole(session, sets.survivors))
    return abandon(moves, open, known, [], 'a group has fewer members left than its sum must be over');
  const answered = [...known.unmaskings.keys()];
  const silent = sets.survivors.filter((owner) => !known.unmaskings.has(owner));
  const expired = hasExpired(moves, { state, open, known }, 'opening', 2);
  const hopeful = expired ? answered : sets.survivors.filter((owner) => !known.left.has(owner));
  const lacking = withoutEnoughHolders(session, present, hopeful);
  if (lacking.length > 0)
    return abandon(moves, open, known, silent, `too few who hold shares of ${lacking.join(', ')} are left`);
  if (withoutEnoughHolders(session, present, answered).length > 0) return false;
  const found = await openMasks(session, {
    sets,
    shares: Object.fromEntries(known.shares),
    unmaskings: Object.fromEntries(known.unmaskings),
  });
  if (found.masks !== undefined) return settleWith(moves, open, session, found);
  if (silent.length > 0 && !expired) return false;
  const reason = `the secrets of ${found.missing.join(', ')} cannot be opened`;
  return abandon(moves, open, known, silent, reason);
}

type Found = Extract<Awaited<ReturnType<typeof openMasks>>, { readonly blamed: unknown }>;

function settleWith({ parts, settle }: Moves, open: OpenRound, session: Session, found: Found): false {
  for (const { of, holders } of found.blamed)
    parts.log.warn('wrong-shares', { run: parts.run, round: open.round, of, holders: holders.join(' ') });
  settle({ kind: 'opened', order: orderOf(session, open, found.masks), blob: undefined });
  return false;
}

/** By group: who is in its sum, and the masks that are. */
function orderOf({ graph }: Session, { members }: OpenRound, masks: readonly Mask[]): UnmaskOrder {
  const sets = graph.groups.map((group) => new Set(group));
  const groups = sets.map((set) => members!.flatMap(({ owner }, place) => (set.has(owner) ? [place] : [])));
  return { groups, masks: sets.map((set) => masks.filter(({ of }) => set.has(of))) };
}

async function abandon(
  moves: Moves,
  open: OpenRound,
  known: AttemptView,
  gone: readonly string[],
  reason: string,
): Promise<boolean> {
  const { parts } = moves;
  const { round } = open;
  parts.log.warn('attempt-abandoned', { run: parts.run, round, attempt: known.number, reason });
  const passed = (await mayHaveHelped(open, known)) ? ({ passedOver: true } as const) : {};
  await parts.submit({ type: 'attempt-abandoned', round, attempt: known.number, gone, ...passed, reason });
  if (moves.isAwaited(known)) moves.settle({ kind: 'abandoned' });
  wakeAll(parts, open.cohort);
  return true;
}

/** Whether an owner may have been asked for its shares: it takes part in no second sum of this round. */
async function mayHaveHelped(open: OpenRound, known: AttemptView): Promise<boolean> {
  if (open.phase !== 'aggregating') return false;
  const session = await sessionOf(known, open);
  if (session === undefined) return true;
  const confirmed = [...known.confirmations.keys()];
  return withoutEnoughHolders(session, confirmed, confirmed).length < confirmed.length;
}

function hasExpired({ clock }: Moves, { state, open }: Place, step: string, times = 1): boolean {
  const ms = state.plan.secureAggregation?.stepMs ?? DEFAULT_STEP_MS;
  return clock.hasExpired(`${open.round}.${attemptOf(open)}.${step}`, times * ms);
}
