/**
 * The round machine: step(state, event) → { state, effects }. Pure; time, randomness and I/O arrive as events, so the
 * journal of events is the run. A round closes when every cohort member has answered (or at a deadline with a quorum),
 * its membership is then fixed, and what follows is a function of that membership alone.
 */

import { digestJson } from '../base/canonical.ts';
import { assert } from '../base/errors.ts';
import type { Effect, Member, RunEvent, UpdateReceived } from './events.ts';
import { withAnswer, withClosedEvaluations, withoutMoreAnswers } from './gathering.ts';
import { abandonAttempt, fixKeys, isAttempt } from './masking/keyed-rounds.ts';
import { addedWork, evaluateWorkOf, outstandingWork } from './outstanding.ts';
import type { OwnerCounts, RunPlan } from './plan.ts';
import { withDrawn } from './poisson-cohort.ts';
import { initialRoster, rosterWith, withEntry, withOffence } from './roster.ts';
import {
  admit,
  awaits,
  expire,
  isAsked,
  openNextRound,
  settle,
  uncounted,
  unmaskingFailed,
  withOpen,
} from './rounds.ts';
import {
  type ClosedRound,
  entryOf,
  type OpenRound,
  personalAfterLast,
  type RunState,
  validationId,
} from './state.ts';
import { isValidated } from './stopping.ts';
import { receiveUpdate } from './updates.ts';

export interface Step {
  /** The same object as before when the event changed nothing; such events need no journal. */
  readonly state: RunState;
  readonly effects: readonly Effect[];
}

/** The first step of every journal. */
export function start(plan: RunPlan): Step {
  const opened = openNextRound({
    plan,
    status: 'running',
    failure: null,
    paused: null,
    stopping: false,
    roster: initialRoster(plan),
    open: undefined,
    closed: [],
    params: plan.initialParams,
    serverState: null,
    ...(plan.privacy === undefined ? {} : { clipNorm: plan.privacy.clipNorm }),
    arms: {},
    evaluations: {},
    answers: {},
  });
  const state = advance(opened);
  return { state, effects: outstandingWork(state) };
}

/** One event further. Events that come twice, too late or about unknown things change nothing. */
export function step(state: RunState, event: RunEvent): Step {
  if (event.type === 'update-received') return stepUpdate(state, event);
  const next = advance(reduced(state, event));
  return { state: next, effects: next === state ? [] : addedWork(state, next) };
}

/** The state after a whole journal, or after the entries that follow a snapshot. */
export function replay(events: readonly RunEvent[], snapshot?: RunState): RunState {
  let state = snapshot;
  for (const event of events) {
    if (state === undefined) {
      assert(event.type === 'created', 'a journal begins with the created event');
      state = start(event.plan).state;
    } else state = step(state, event).state;
  }
  assert(state !== undefined, 'a journal begins with the created event');
  return state;
}

function reduced(state: RunState, event: Exclude<RunEvent, UpdateReceived>): RunState {
  if (state.status !== 'running') return state;
  const { open } = state;
  switch (event.type) {
    case 'created':
    case 'resumed':
    case 'unlearned':
      return state;
    case 'client-failed':
      return open?.round === event.round ? withLoss(state, open, event.owner, event.reason) : state;
    case 'deadline':
      return open?.round === event.round && open.extension === event.extension && open.phase === 'training'
        ? expire(state, open)
        : state;
    case 'owner-joined':
      return join(state, event.counts);
    case 'owner-left':
      return leave(state, event.owner, event.reason);
    case 'owner-pardoned':
      return entryOf(state.roster, event.owner)?.standing === 'quarantined'
        ? admit(withEntry(state, event.owner, { standing: 'active', offences: 0 }), event.owner)
        : state;
    case 'aggregated':
      return commitRound(state, event);
    case 'unmasking-failed':
      return withoutMembers(state, event);
    case 'cohort-drawn':
      return open?.round === event.round && open.undrawn === true
        ? withDrawn(state, open, event.owners)
        : state;
    case 'keys-fixed':
      return open !== undefined && isAttempt(open, event) ? fixKeys(state, open, event.owners) : state;
    case 'attempt-abandoned':
      return open !== undefined && isAttempt(open, event) ? abandonAttempt(state, open, event) : state;
    case 'arm-trained':
      return withArm(state, event.arm, { params: event.params });
    case 'arm-failed':
      return withArm(state, event.arm, { failure: event.reason });
    case 'evaluated':
      return evaluateWorkOf(state).some(({ evaluation }) => evaluation === event.evaluation)
        ? { ...state, evaluations: { ...state.evaluations, [event.evaluation]: event.result } }
        : state;
    case 'owner-evaluated':
      return withAnswer(state, event.evaluation, event.owner, event.result);
    case 'evaluation-deadline':
      return withoutMoreAnswers(state, event.evaluation);
    case 'paused':
      return state.paused === null ? { ...state, paused: event.reason } : state;
    case 'continued':
      return state.paused === null ? state : { ...state, paused: null };
    case 'stopping':
      return stopAfterRound(state, event.reason);
    case 'cancelled':
      return { ...state, status: 'cancelled', failure: event.reason };
    case 'published':
      return outstandingWork(state).some(({ kind }) => kind === 'publish')
        ? { ...state, status: 'finished' }
        : state;
  }
}

/** Transitions that follow from the state itself. */
function advance(before: RunState): RunState {
  const state = withClosedEvaluations(before);
  const { open } = state;
  if (state.status !== 'running' || open === undefined) return state;
  if (open.phase === 'training') return settle(state, open);
  if (open.phase === 'validating' && state.evaluations[validationId(open.round)] !== undefined)
    return openNextRound(state, open);
  return state;
}

function join(state: RunState, counts: OwnerCounts): RunState {
  const { owner } = counts;
  const known = entryOf(state.roster, owner);
  if (known?.standing !== undefined && known.standing !== 'left' && sameCounts(known, counts)) return state;
  return admit({ ...state, roster: rosterWith(state, counts) }, owner, known?.standing === 'left');
}

function sameCounts(a: OwnerCounts, b: OwnerCounts): boolean {
  return (
    a.numExamples === b.numExamples &&
    a.numTokens === b.numTokens &&
    a.heldOut?.validation === b.heldOut?.validation &&
    a.heldOut?.test === b.heldOut?.test
  );
}

function leave(state: RunState, owner: string, reason: string): RunState {
  const standing = entryOf(state.roster, owner)?.standing;
  if (standing === undefined || standing === 'left') return state;
  const left = withEntry(state, owner, { standing: 'left' });
  return state.open === undefined ? left : withLoss(left, state.open, owner, reason);
}

function withLoss(state: RunState, open: OpenRound, owner: string, reason: string): RunState {
  const waitedFor = open.phase === 'training' && isAsked(open, owner) && awaits(open, owner);
  return waitedFor ? withOpen(state, { lost: { ...open.lost, [owner]: reason } }) : state;
}

function commitRound(state: RunState, event: Extract<RunEvent, { type: 'aggregated' }>): RunState {
  const { open } = state;
  if (open?.round !== event.round || open.phase !== 'aggregating') return state;
  const members = open.members!;
  assert(digestJson(members) === event.membership, `round ${event.round} was aggregated from other members`);
  const kept = members.flatMap(({ owner }) => {
    const { personal } = open.accepted[owner]!;
    return personal === null ? [] : [[owner, personal]];
  });
  const closed: ClosedRound = {
    round: event.round,
    params: event.params,
    personal: { ...personalAfterLast(state), ...Object.fromEntries(kept) },
    members: Object.fromEntries(members.map(({ owner, update }) => [owner, update])),
    ...(open.excluded === undefined ? {} : { excluded: open.excluded.map(({ owner }) => owner) }),
    ...trainedIn(open, members),
    ...(state.plan.keepUpdates === undefined ? {} : { serverState: event.serverState }),
  };
  const counted = members.map(({ owner }) => {
    const { round } = open.accepted[owner]!;
    const entry = state.roster[owner]!;
    // Noise that clients add themselves is paid for with what they send.
    const pays = state.plan.privacy !== undefined && state.plan.privacy.trust === undefined;
    const spent = pays ? { participations: (entry.participations ?? 0) + 1 } : {};
    return [owner, { ...entry, lastRound: round, ...spent }] as const;
  });
  const roster = { ...state.roster, ...Object.fromEntries(counted) };
  const { params, serverState } = event;
  const clipNorm = event.report.release?.nextClipNorm;
  const next: RunState = {
    ...{ ...state, params, serverState, roster, closed: [...state.closed, closed] },
    ...(clipNorm === undefined ? {} : { clipNorm }),
    ...(event.watch === undefined ? {} : { watchMemory: event.watch.memory }),
  };
  // Only early stopping has to know the loss before the next round may open.
  const waits = state.plan.earlyStopping !== null && isValidated(state.plan, event.round);
  const left = uncounted(open);
  return waits ? { ...next, open: { ...left, phase: 'validating', lost: {} } } : openNextRound(next, left);
}

function withoutMembers(
  state: RunState,
  { round, membership, blamed, reason }: Extract<RunEvent, { type: 'unmasking-failed' }>,
): RunState {
  const { open } = state;
  if (open?.round !== round || open.phase !== 'aggregating') return state;
  if (digestJson(open.members) !== membership) return state;
  return unmaskingFailed(blamed.reduce(withOffence, state), open, blamed, reason);
}

/** What later choices of owners look at; nothing in runs that choose by nothing. */
function trainedIn({ accepted }: OpenRound, members: readonly Member[]): Pick<ClosedRound, 'trained'> {
  const seen = members.flatMap(({ owner }) => {
    const { trained } = accepted[owner]!;
    return trained === undefined ? [] : [[owner, trained] as const];
  });
  return seen.length === 0 ? {} : { trained: Object.fromEntries(seen) };
}

/** A round in which somebody was accepted is still closed; without any closed round there is nothing to publish. */
function stopAfterRound(state: RunState, reason: string): RunState {
  if (state.stopping) return state;
  const { open, closed } = state;
  const begun = open !== undefined && (open.phase !== 'training' || Object.keys(open.accepted).length > 0);
  if (begun) return { ...state, stopping: true };
  if (closed.length === 0) return { ...state, status: 'cancelled', failure: reason };
  return { ...state, stopping: true, open: undefined };
}

function stepUpdate(state: RunState, event: UpdateReceived): Step {
  const received = receiveUpdate(state, event);
  const next = received.state === state ? state : advance(received.state);
  // While the round stays open an update makes no new work for the shell; comparing would cost O(cohort) per update.
  const opens = next.open?.phase !== state.open?.phase || next.open?.round !== state.open?.round;
  const asks = next.open?.cohort !== state.open?.cohort;
  const scores = next.evaluations !== state.evaluations;
  const work = opens || asks || scores ? addedWork(state, next) : [];
  return { state: next, effects: [received.receipt, ...work] };
}

function withArm(state: RunState, arm: string, outcome: RunState['arms'][string]): RunState {
  return entryOf(state.arms, arm) === undefined && state.plan.arms.some(({ id }) => id === arm)
    ? { ...state, arms: { ...state.arms, [arm]: outcome } }
    : state;
}
