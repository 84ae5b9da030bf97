/**
 * The life of a round: whom it asks, when it closes, what is asked again when its time is up. Pure changes of the state;
 * events are read in `machine.ts`.
 */

import { assert } from '../base/errors.ts';
import type { Rng } from '../base/random.ts';
import { cohortRandom, drawUniformly } from './cohort.ts';
import { excludedFrom } from './cohort-checks.ts';
import type { Member } from './events.ts';
import type { MaskedFacts } from './masking/secure-aggregation.ts';
import { isSpent } from './privacy-ledger.ts';
import { activeOwners, isActive } from './roster.ts';
import { chooseOwners, type SelectionChoice } from './selection/registry.ts';
import { entryOf, type OpenRound, type RunState } from './state.ts';
import { shouldStop } from './stopping.ts';
import { isInTree, withTree } from './tree-rounds.ts';

/** `before`: the round that was just closed; in buffered runs its late updates and those under way go on. */
export function openNextRound(state: RunState, before?: OpenRound): RunState {
  const round = state.closed.length + 1;
  if (round > state.plan.rounds || state.stopping || shouldStop(state) || budgetIsSpent(state))
    return { ...state, open: undefined };
  return openIn(
    withTree(state, round, (owner) => !isSpent(state, owner)),
    round,
    before,
  );
}

function openIn(state: RunState, round: number, before: OpenRound | undefined): RunState {
  const goesOn = state.plan.pace.mode === 'buffered' && before !== undefined;
  const open: OpenRound = {
    round,
    phase: 'training',
    extension: 0,
    cohort: goesOn ? before.cohort.filter((owner) => awaits(before, owner) && isActive(state, owner)) : [],
    accepted: goesOn ? before.accepted : {},
    lost: {},
    members: null,
    ...(state.plan.privacy?.poisson === undefined ? {} : { undrawn: true }),
  };
  const next = askMore({ ...state, open }, state.plan.pace.asked - waitingIn(open));
  return settle(next, next.open!);
}

/** Too few owners are left whose part of the privacy budget allows another release. */
function budgetIsSpent(state: RunState): boolean {
  const { privacy, examplePrivacy, quorum } = state.plan;
  if (privacy === undefined && examplePrivacy === undefined) return false;
  // Whoever may be drawn pays for every draw.
  if (privacy?.poisson !== undefined) return state.closed.length >= privacy.maxParticipations;
  return activeOwners(state).filter((owner) => !isSpent(state, owner)).length < quorum;
}

/** Closes the round when nobody has to be waited for; asks others when the quorum is out of reach. */
export function settle(state: RunState, open: OpenRound): RunState {
  const { quorum, cohortSize, pace } = state.plan;
  const accepted = acceptedIn(open);
  const drawn = state.plan.privacy?.poisson !== undefined;
  if (open.undrawn === true) return state;
  if (accepted >= cohortSize && !drawn) return freeze(state, open);
  const waiting = waitingIn(open);
  // Nobody can join an attempt whose keys are fixed; too few are left: it is abandoned.
  if (open.keyed !== undefined) return waiting === 0 && accepted >= quorum ? freeze(state, open) : state;
  if (pace.mode === 'buffered') return askMore(state, pace.asked - waiting);
  if (waiting === 0 && accepted >= quorum) return freeze(state, open);
  if (accepted + waiting >= quorum) return state;
  return pace.belowQuorum === 'fail' ? failed(state, open) : askMore(state, pace.asked - accepted - waiting);
}

/** The round's time is up. */
export function expire(state: RunState, open: OpenRound): RunState {
  if (open.undrawn === true) return withOpen(state, { extension: open.extension + 1 });
  const silent = open.cohort.filter((owner) => awaits(open, owner));
  const lost = Object.fromEntries(silent.map((owner) => [owner, 'no update before the deadline']));
  const expired = withOpen(state, { lost: { ...open.lost, ...lost } });
  const accepted = acceptedIn(open);
  if (accepted >= state.plan.quorum) return freeze(expired, expired.open!);
  if (state.plan.pace.belowQuorum === 'fail') return expired;
  if (open.keyed !== undefined) return withOpen(state, { extension: open.extension + 1 });
  // Nothing that was acknowledged is thrown away: who answered stays counted, all others are asked again, and further
  // owners as if nobody else would come.
  const cohort = open.cohort.filter(
    (owner) => isActive(state, owner) || entryOf(open.accepted, owner) !== undefined,
  );
  const same = withOpen(state, { extension: open.extension + 1, cohort, lost: {} });
  // Who was silent is asked again, but nobody relies on it: a tree whose last owners are gone would wait for ever.
  const mayCome = (owner: string) => !isSpent(state, owner) && entryOf(lost, owner) === undefined;
  const extended = withTree(same, open.round, mayCome);
  return askMore(extended, state.plan.pace.asked - accepted);
}

/** An owner came: it helps the open round when that has room. Whoever had left it takes its place again. */
export function admit(state: RunState, owner: string, hadLeft = false): RunState {
  const { open } = state;
  if (hadLeft && open?.phase === 'training' && isAsked(open, owner) && isActive(state, owner)) {
    const { [owner]: _, ...lost } = open.lost;
    return withOpen(state, { lost });
  }
  if (open?.phase !== 'training' || isAsked(open, owner) || !mayBeAsked(state, open, owner)) return state;
  if (open.keyed !== undefined || state.plan.privacy?.poisson !== undefined) return state;
  if (acceptedIn(open) + waitingIn(open) >= state.plan.pace.asked) return state;
  return withOpen(state, { cohort: [...open.cohort, owner].sort() });
}

/**
 * Asks up to `count` owners that were not asked yet. A function of the seed and the state; the first cohort of a round
 * depends on the seed, the round and the roster only.
 */
function askMore(state: RunState, count: number): RunState {
  const { open, plan } = state;
  if (open?.phase !== 'training' || count <= 0 || plan.privacy?.poisson !== undefined) return state;
  const first = open.cohort.length === 0 && open.extension === 0;
  const path = first ? [] : ['more', open.extension, open.cohort.length, acceptedIn(open)];
  const random = cohortRandom(plan.seed, open.round, path);
  const chosen = draw(state, open, count, random);
  return chosen.length === 0 ? state : withOpen(state, { cohort: [...open.cohort, ...chosen].sort() });
}

/** Up to `count` owners that may be asked, drawn without replacement. */
function draw(state: RunState, open: OpenRound, count: number, random: Rng): readonly string[] {
  const may = (owner: string) => !isAsked(open, owner) && mayBeAsked(state, open, owner);
  const active = activeOwners(state);
  const { selection } = state.plan;
  if (selection !== undefined)
    return chosenBy(selection, state, { open, owners: active.filter(may), count, random });
  return drawUniformly(active, may, count, random);
}

interface Draw {
  readonly open: OpenRound;
  readonly owners: readonly string[];
  readonly count: number;
  readonly random: Rng;
}

/** By what the run's closed rounds showed. */
function chosenBy(
  selection: SelectionChoice,
  { roster, closed }: RunState,
  { open, owners, count, random }: Draw,
): readonly string[] {
  if (count >= owners.length) return owners;
  const candidates = owners.map((owner) => roster[owner]!);
  const history = closed.map(({ trained = {} }) => trained);
  const context = { round: open.round, count, candidates, history, random };
  return chooseOwners(selection, context).map(({ owner }) => owner);
}

/** Not: who has trained from these params already, or is out of the round. */
function mayBeAsked(state: RunState, open: OpenRound, owner: string): boolean {
  if (!isActive(state, owner) || isSpent(state, owner) || isInTree(state, owner)) return false;
  return state.roster[owner]!.lastRound < open.round && awaits(open, owner);
}

function acceptedIn(open: OpenRound): number {
  return Object.keys(open.accepted).length;
}

/** How many of the cohort have not answered; counted from those who have, which are looked up in a set. */
function waitingIn(open: OpenRound): number {
  const cohort = setOf(open.cohort);
  let waiting = cohort.size;
  for (const owner of Object.keys(open.accepted)) if (cohort.has(owner)) waiting -= 1;
  for (const owner of Object.keys(open.lost))
    if (cohort.has(owner) && entryOf(open.accepted, owner) === undefined) waiting -= 1;
  return waiting;
}

/** Of cohorts, which never change and are asked about once for every update. */
const sets = new WeakMap<readonly string[], ReadonlySet<string>>();

function setOf(cohort: readonly string[]): ReadonlySet<string> {
  const known = sets.get(cohort);
  if (known !== undefined) return known;
  const set = new Set(cohort);
  sets.set(cohort, set);
  return set;
}

export function isAsked(open: OpenRound, owner: string): boolean {
  return setOf(open.cohort).has(owner);
}

/** From here on the round is a function of its members alone. */
function freeze(state: RunState, open: OpenRound): RunState {
  const excluded = excludedFrom(state, open);
  if (excluded.length === 0)
    return withOpen(state, { phase: 'aggregating', members: membersOf(state, open) });
  // Who is put aside has answered: the round has its quorum, and counts fewer.
  const out = new Map(excluded.map(({ owner, reason }) => [owner, reason]));
  const accepted = Object.fromEntries(Object.entries(open.accepted).filter(([owner]) => !out.has(owner)));
  const lost = { ...open.lost, ...Object.fromEntries(out) };
  const members = membersOf(state, { ...open, accepted });
  return withOpen(state, { phase: 'aggregating', accepted, lost, excluded, members });
}

/**
 * The accepted owners that are counted, in canonical order: all, or in buffered runs as many as the buffer holds, those
 * that were trained first before others. A function of what was accepted, not of the order in which it came.
 */
function membersOf({ plan, roster }: RunState, open: OpenRound): Member[] {
  const byAge = Object.keys(open.accepted).sort(
    (a, b) => open.accepted[a]!.round - open.accepted[b]!.round || (a < b ? -1 : 1),
  );
  const most = plan.privacy?.poisson === undefined ? plan.cohortSize : byAge.length;
  const owners = byAge.slice(0, most).sort();
  return owners.map((owner): Member => {
    const { update, round, masked } = open.accepted[owner]!;
    const { aggregationWeight } = roster[owner]!;
    if (masked !== undefined) return maskedMember(owner, update, masked);
    const staleness = open.round - round;
    if (staleness === 0 || plan.pace.stalenessExponent === 0) return { owner, update, aggregationWeight };
    const discount = (1 + staleness) ** -plan.pace.stalenessExponent;
    const discounted = Math.max(1, Math.round(aggregationWeight * discount));
    return { owner, update, aggregationWeight: discounted, freshWeight: aggregationWeight };
  });
}

/** Its weight is inside what it sent, whatever the roster says by now. */
function maskedMember(owner: string, update: string, { weight, envelope }: MaskedFacts): Member {
  const sealed = envelope === undefined ? {} : { envelope };
  return { owner, update, aggregationWeight: weight, ...sealed };
}

/** What a closed round leaves for the next one: accepted updates that did not fit into the buffer. */
export function uncounted(open: OpenRound): OpenRound {
  const counted = new Set(open.members?.map(({ owner }) => owner));
  const cohort = open.cohort.filter((owner) => !counted.has(owner));
  const accepted = Object.fromEntries(Object.entries(open.accepted).filter(([owner]) => !counted.has(owner)));
  const { excluded: _, ...rest } = open;
  return { ...rest, cohort, accepted, members: null };
}

/** Whether this member of the cohort has not answered yet. */
export function awaits(open: OpenRound, owner: string): boolean {
  return entryOf(open.accepted, owner) === undefined && entryOf(open.lost, owner) === undefined;
}

export function withOpen(state: RunState, change: Partial<OpenRound>): RunState {
  assert(state.open !== undefined, 'no round is open');
  return { ...state, open: { ...state.open, ...change } };
}

/** The masks of the frozen members could not be taken away; see the event. */
export function unmaskingFailed(
  state: RunState,
  open: OpenRound,
  blamed: readonly string[],
  reason: string,
): RunState {
  const out = new Set(blamed.filter((owner) => entryOf(open.accepted, owner) !== undefined));
  return out.size > 0 ? withoutBlamed(state, open, out, reason) : begunAnew(state, open);
}

function withoutBlamed(
  state: RunState,
  open: OpenRound,
  blamed: ReadonlySet<string>,
  reason: string,
): RunState {
  const lost = Object.fromEntries([...blamed].map((owner) => [owner, reason]));
  const accepted = Object.fromEntries(Object.entries(open.accepted).filter(([owner]) => !blamed.has(owner)));
  const change = { phase: 'training', members: null, accepted, lost: { ...open.lost, ...lost } } as const;
  const left = withOpen(state, change);
  return settle(left, left.open!);
}

/**
 * What was masked once is of no use: all that were asked, and others in the place of those who left, train again. Who is
 * `lost` already is not waited for.
 */
export function begunAnew(
  state: RunState,
  open: OpenRound,
  lost: Readonly<Record<string, string>> = {},
): RunState {
  const cohort = open.cohort.filter((owner) => isActive(state, owner));
  const abandoned = (open.abandoned ?? 0) + 1;
  const { keyed: _, ...rest } = open;
  const change = { phase: 'training', members: null, accepted: {}, lost, cohort, abandoned } as const;
  const anew: RunState = { ...state, open: { ...rest, ...change } };
  const asked = askMore(anew, state.plan.pace.asked - waitingIn(anew.open!));
  return settle(asked, asked.open!);
}

function failed(state: RunState, open: OpenRound): RunState {
  const reasons = Object.entries(open.lost).map(([owner, reason]) => `${owner}: ${reason}`);
  const accepted = Object.keys(open.accepted).length;
  const failure = `round ${open.round} needs ${state.plan.quorum} updates of ${open.cohort.length}, has ${accepted} and lost ${reasons.length} (${reasons.join('; ')})`;
  return { ...state, status: 'failed', failure };
}
