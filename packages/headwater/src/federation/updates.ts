/** Whether an update counts, and the receipt that says so. Pure; its bytes were looked at before (`update-check.ts`). */

import { checkedParts } from './cohort-checks.ts';
import type { Receipt, RejectionCode, UpdateReceived } from './events.ts';
import { maskingOf } from './masking/masking-of.ts';
import { withOffence, withTraining } from './roster.ts';
import { isAsked, withOpen } from './rounds.ts';
import { type AcceptedUpdate, entryOf, type OpenRound, type RunState } from './state.ts';

export interface Received {
  readonly state: RunState;
  readonly receipt: Receipt;
}

export function receiveUpdate(before: RunState, event: UpdateReceived): Received {
  const { round, owner, update, personal, check } = event;
  const { receipt, changes } = receiptFor(before, event);
  if (!changes) return { state: before, receipt };
  const state = withTraining(before, owner);
  const open = state.open!;
  if (check.ok) {
    const checked = checkedParts(state.plan, open, { owner, update, l2Norm: check.l2Norm });
    const entry = { round, update, personal, ...observed(state, event), ...checked, ...maskedOf(event) };
    const accepted = { ...open.accepted, [owner]: entry };
    return { state: withOpen(state, { accepted }), receipt };
  }
  const lost = { ...open.lost, [owner]: check.reason };
  return { state: withOpen(withOffence(state, owner), { lost }), receipt };
}

function observed({ plan }: RunState, { stats, trainedMs }: UpdateReceived): Pick<AcceptedUpdate, 'trained'> {
  if (plan.selection === undefined) return {};
  const loss = stats.meanLoss;
  return { trained: trainedMs === undefined ? { loss } : { loss, tookMs: trainedMs } };
}

/** The receipt alone, and whether the state changes with it: not for what is refused unseen, or was counted before. */
export function receiptFor(
  state: RunState,
  event: UpdateReceived,
): { readonly receipt: Receipt; readonly changes: boolean } {
  const { round, owner, update, check } = event;
  const answer = (code: RejectionCode | null, reason: string | null): Receipt => ({
    kind: 'receipt',
    round,
    owner,
    update,
    accepted: code === null,
    code,
    reason,
  });
  const refusal = refusalOf(state, event);
  if (refusal === 'duplicate') return { receipt: answer(null, null), changes: false };
  if (refusal !== undefined) return { receipt: answer(refusal.code, refusal.reason), changes: false };
  const receipt = check.ok ? answer(null, null) : answer(check.code, check.reason);
  return { receipt, changes: true };
}

interface Refusal {
  readonly code: RejectionCode;
  readonly reason: string;
}

/** Why an update is not even looked at; nothing of it is kept. */
function refusalOf(state: RunState, event: UpdateReceived): Refusal | 'duplicate' | undefined {
  const { round, owner, update } = event;
  const { open } = state;
  // The receipt of a counted update may have been lost on its way: it is given again, also later.
  if (wasCounted(state, event)) return 'duplicate';
  if (state.status !== 'running' || open === undefined)
    return { code: 'run-over', reason: 'the run takes no updates any more' };
  const known = entryOf(open.accepted, owner);
  if (known !== undefined && known.round === round)
    return known.update === update
      ? 'duplicate'
      : { code: 'other-update', reason: 'another update was accepted for this round' };
  return state.plan.pace.mode === 'buffered'
    ? bufferedRefusal(state, open, round, owner)
    : (synchronousRefusal(open, round, owner) ?? maskRefusal(state, open, event));
}

function maskedOf({ masked }: UpdateReceived): Pick<AcceptedUpdate, 'masked'> {
  return masked === undefined ? {} : { masked };
}

/** What was masked otherwise than it is unmasked would spoil the sum. */
function maskRefusal(
  { plan, roster }: RunState,
  open: OpenRound,
  { owner, masked, check }: UpdateReceived,
): Refusal | undefined {
  if (plan.secureAggregation === undefined || masked === undefined || !check.ok) return undefined;
  const { attempt, weight } = maskingOf(plan, open, roster[owner]!);
  if (masked.attempt === attempt && masked.weight === weight) return undefined;
  return {
    code: 'wrong-mask',
    reason: `masked with weight ${masked.weight} for attempt ${masked.attempt}, expected weight ${weight} and attempt ${attempt}`,
  };
}

function wasCounted(state: RunState, { round, owner, update }: UpdateReceived): boolean {
  if (state.plan.pace.mode === 'synchronous')
    return entryOf(state.closed[round - 1]?.members ?? {}, owner) === update;
  if (entryOf(state.roster, owner)?.lastRound !== round) return false;
  return state.closed.some(({ members }) => entryOf(members, owner) === update);
}

function synchronousRefusal(open: OpenRound, round: number, owner: string): Refusal | undefined {
  if (round !== open.round)
    return { code: 'stale-round', reason: `round ${round} is not open, round ${open.round} is` };
  if (!isAsked(open, owner))
    return { code: 'not-asked', reason: `"${owner}" is not in the cohort of round ${round}` };
  const lost = entryOf(open.lost, owner);
  if (lost !== undefined) return { code: 'stale-round', reason: `out of round ${round} already: ${lost}` };
  return open.phase === 'training' ? undefined : { code: 'stale-round', reason: `round ${round} is closed` };
}

/** Whoever was asked may answer late: by then another version may be open, and the place in its cohort another's. */
function bufferedRefusal(
  state: RunState,
  open: OpenRound,
  round: number,
  owner: string,
): Refusal | undefined {
  const entry = entryOf(state.roster, owner);
  if (entry?.standing !== 'active')
    return { code: 'not-asked', reason: `"${owner}" takes no part in this run` };
  if (
    round < 1 ||
    round > open.round ||
    round <= entry.lastRound ||
    entryOf(open.accepted, owner) !== undefined
  )
    return {
      code: 'stale-round',
      reason: `an update for version ${round} is not expected, version ${open.round} is open`,
    };
  const staleness = open.round - round;
  if (staleness > state.plan.pace.maxStaleness)
    return {
      code: 'stale-round',
      reason: `trained ${staleness} versions ago, the run takes at most ${state.plan.pace.maxStaleness}`,
    };
  return undefined;
}
