/**
 * The round machine: step(state, event) → { state, effects }. Pure; time, randomness and I/O arrive as events, so the
 * journal of events is the run. A round closes when every cohort member has answered (or at a deadline with a quorum),
 * its membership is then fixed, and what follows is a function of that membership alone.
 */

import { digestJson } from '../base/canonical.ts';
import { assert } from '../base/errors.ts';
import type { Effect, Receipt, RunEvent, UpdateReceived, Work } from './events.ts';
import { membersOf, outstandingWork } from './outstanding.ts';
import type { RunPlan } from './plan.ts';
import { cohortOf, isValidated, shouldStop } from './selection.ts';
import {
  type ClosedRound,
  entryOf,
  type OpenRound,
  personalAfterLast,
  type RunState,
  validationId,
} from './state.ts';

export interface Step {
  /** The same object as before when the event changed nothing; such events need no journal. */
  readonly state: RunState;
  readonly effects: readonly Effect[];
}

/** The first step of every journal. */
export function start(plan: RunPlan): Step {
  const state = openNextRound({
    plan,
    status: 'running',
    failure: null,
    open: undefined,
    closed: [],
    params: plan.initialParams,
    serverState: null,
    arms: {},
    evaluations: {},
  });
  return { state, effects: outstandingWork(state) };
}

/** One event further. Events that come twice, too late or about unknown things change nothing. */
export function step(state: RunState, event: RunEvent): Step {
  if (event.type === 'update-received') return receiveUpdate(state, event);
  const next = advance(reduced(state, event));
  return { state: next, effects: next === state ? [] : newWork(state, next) };
}

/** The state after a whole journal. */
export function replay(events: readonly RunEvent[]): RunState {
  const [first, ...rest] = events;
  assert(first?.type === 'created', 'a journal begins with the created event');
  let { state } = start(first.plan);
  for (const event of rest) state = step(state, event).state;
  return state;
}

function reduced(state: RunState, event: Exclude<RunEvent, UpdateReceived>): RunState {
  if (state.status !== 'running') return state;
  switch (event.type) {
    case 'created':
    case 'resumed':
      return state;
    case 'client-failed':
      return awaitsUpdate(state.open, event.round, event.owner)
        ? withOpen(state, { lost: { ...state.open.lost, [event.owner]: event.reason } })
        : state;
    case 'deadline':
      return state.open?.round === event.round && state.open.phase === 'training'
        ? expire(state, state.open)
        : state;
    case 'aggregated':
      return commitRound(state, event);
    case 'arm-trained':
      return withArm(state, event.arm, { params: event.params });
    case 'arm-failed':
      return withArm(state, event.arm, { failure: event.reason });
    case 'evaluated':
      return state.evaluations[event.evaluation] === undefined
        ? { ...state, evaluations: { ...state.evaluations, [event.evaluation]: event.result } }
        : state;
    case 'published':
      return { ...state, status: 'finished' };
  }
}

/** Transitions that follow from the state itself. */
function advance(state: RunState): RunState {
  const { open } = state;
  if (state.status !== 'running' || open === undefined) return state;
  if (open.phase === 'training') return settleCohort(state, open);
  if (open.phase === 'validating' && state.evaluations[validationId(open.round)] !== undefined)
    return openNextRound(state);
  return state;
}

function settleCohort(state: RunState, open: OpenRound): RunState {
  const accepted = Object.keys(open.accepted).length;
  const waiting = open.cohort.length - accepted - Object.keys(open.lost).length;
  if (accepted + waiting < state.plan.quorum) return failed(state, open);
  return waiting === 0 ? withOpen(state, { phase: 'aggregating' }) : state;
}

function expire(state: RunState, open: OpenRound): RunState {
  const silent = open.cohort.filter((owner) => awaitsUpdate(open, open.round, owner));
  const lost = Object.fromEntries(silent.map((owner) => [owner, 'no update before the deadline']));
  return withOpen(state, { lost: { ...open.lost, ...lost } });
}

function commitRound(state: RunState, event: Extract<RunEvent, { type: 'aggregated' }>): RunState {
  const { open } = state;
  if (open?.round !== event.round || open.phase !== 'aggregating') return state;
  assert(
    digestJson(membersOf(state, open)) === event.membership,
    `round ${event.round} was aggregated from other members`,
  );
  const kept = Object.entries(open.accepted).flatMap(([owner, { personal }]) =>
    personal === null ? [] : [[owner, personal]],
  );
  const closed: ClosedRound = {
    round: event.round,
    params: event.params,
    personal: { ...personalAfterLast(state), ...Object.fromEntries(kept) },
    members: Object.fromEntries(Object.entries(open.accepted).map(([owner, { update }]) => [owner, update])),
  };
  const { params, serverState } = event;
  const next: RunState = { ...state, params, serverState, closed: [...state.closed, closed] };
  // Only early stopping has to know the loss before the next round may open.
  const waits = state.plan.earlyStopping !== null && isValidated(state.plan, event.round);
  return waits ? withOpen(next, { phase: 'validating', accepted: {}, lost: {} }) : openNextRound(next);
}

function openNextRound(state: RunState): RunState {
  const round = state.closed.length + 1;
  if (round > state.plan.rounds || shouldStop(state)) return { ...state, open: undefined };
  const cohort = cohortOf(state.plan, round);
  return { ...state, open: { round, phase: 'training', cohort, accepted: {}, lost: {} } };
}

function receiveUpdate(state: RunState, event: UpdateReceived): Step {
  const answer = (accepted: boolean, reason: string | null): Receipt => {
    const { round, owner, update } = event;
    return { kind: 'receipt', round, owner, update, accepted, reason };
  };
  const refusal = refusalOf(state, event);
  if (refusal === 'duplicate') return { state, effects: [answer(true, null)] };
  if (refusal !== undefined) return { state, effects: [answer(false, refusal)] };
  const { accepted, lost } = state.open!;
  const { owner, update, personal, check } = event;
  const changed = check.ok
    ? withOpen(state, { accepted: { ...accepted, [owner]: { update, personal } } })
    : withOpen(state, { lost: { ...lost, [owner]: check.reason } });
  const next = advance(changed);
  const receipt = check.ok ? answer(true, null) : answer(false, check.reason);
  // While the round stays open an update makes no new work; comparing would cost O(cohort) per update.
  const opens = next.open?.phase !== 'training' || next.open.round !== event.round;
  return { state: next, effects: opens ? [receipt, ...newWork(state, next)] : [receipt] };
}

/** Why an update is not even looked at. */
function refusalOf(
  state: RunState,
  { round, owner, update }: UpdateReceived,
): string | 'duplicate' | undefined {
  const { open } = state;
  // The receipt of a counted update may have been lost on its way: it is given again, also later.
  if (entryOf(state.closed[round - 1]?.members ?? {}, owner) === update) return 'duplicate';
  if (state.status !== 'running' || open === undefined) return 'the run takes no updates any more';
  if (round !== open.round) return `round ${round} is not open, round ${open.round} is`;
  const known = entryOf(open.accepted, owner);
  if (known !== undefined)
    return known.update === update ? 'duplicate' : 'another update was accepted for this round';
  if (!open.cohort.includes(owner)) return `"${owner}" is not in the cohort of round ${round}`;
  if (entryOf(open.lost, owner) !== undefined)
    return `out of round ${round} already: ${entryOf(open.lost, owner)}`;
  return open.phase === 'training' ? undefined : `round ${round} is closed`;
}

function awaitsUpdate(open: OpenRound | undefined, round: number, owner: string): open is OpenRound {
  if (open === undefined || open.round !== round || open.phase !== 'training') return false;
  return (
    open.cohort.includes(owner) &&
    entryOf(open.accepted, owner) === undefined &&
    entryOf(open.lost, owner) === undefined
  );
}

function failed(state: RunState, open: OpenRound): RunState {
  const reasons = Object.entries(open.lost).map(([owner, reason]) => `${owner}: ${reason}`);
  const accepted = Object.keys(open.accepted).length;
  const failure = `round ${open.round} needs ${state.plan.quorum} updates of ${open.cohort.length}, has ${accepted} and lost ${reasons.length} (${reasons.join('; ')})`;
  return { ...state, status: 'failed', failure };
}

function withOpen(state: RunState, change: Partial<OpenRound>): RunState {
  assert(state.open !== undefined, 'no round is open');
  return { ...state, open: { ...state.open, ...change } };
}

function withArm(state: RunState, arm: string, outcome: RunState['arms'][string]): RunState {
  return entryOf(state.arms, arm) === undefined
    ? { ...state, arms: { ...state.arms, [arm]: outcome } }
    : state;
}

function newWork(before: RunState, after: RunState): Work[] {
  const known = new Set(outstandingWork(before).map(({ id }) => id));
  return outstandingWork(after).filter(({ id }) => !known.has(id));
}
