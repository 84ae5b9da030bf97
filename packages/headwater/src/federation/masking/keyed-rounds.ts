/**
 * Rounds whose owners open the masks together: from the moment when their keys are fixed an attempt is among them alone, and it is
 * given up when too few of them are left. Pure changes of the state.
 */

import type { RunEvent } from '../events.ts';
import { isActive } from '../roster.ts';
import { begunAnew, openNextRound, withOpen } from '../rounds.ts';
import { entryOf, type OpenRound, personalAfterLast, type RunState } from '../state.ts';
import { attemptOf } from './masking-of.ts';

export function isAttempt(
  open: OpenRound,
  { round, attempt }: { readonly round: number; readonly attempt: number },
): boolean {
  return open.round === round && attemptOf(open) === attempt;
}

/** Who was asked and sent no key takes no part in this attempt. */
export function fixKeys(state: RunState, open: OpenRound, owners: readonly string[]): RunState {
  if (open.phase !== 'training' || open.keyed !== undefined) return state;
  const asked = new Set(open.cohort);
  const keyed = owners.filter((owner) => asked.has(owner) && entryOf(open.lost, owner) === undefined);
  return withOpen(state, { keyed, cohort: keyed });
}

/** Those who are gone are asked again only where the others are fewer than the quorum. */
export function abandonAttempt(
  state: RunState,
  open: OpenRound,
  { gone, passedOver }: Pick<Extract<RunEvent, { type: 'attempt-abandoned' }>, 'gone' | 'passedOver'>,
): RunState {
  if (passedOver === true) return open.phase === 'aggregating' ? withoutRound(state, open) : state;
  if (open.phase !== 'training' && open.phase !== 'aggregating') return state;
  const silent = Object.fromEntries(gone.map((owner) => [owner, 'it fell silent in the attempt before']));
  const lost = { ...open.lost, ...silent };
  const left = open.cohort.filter((owner) => isActive(state, owner) && entryOf(lost, owner) === undefined);
  return begunAnew(state, open, left.length >= state.plan.quorum ? lost : {});
}

/** Nobody is counted, nothing changes. */
function withoutRound(state: RunState, { round }: OpenRound): RunState {
  const { params, closed, serverState } = state;
  const kept = state.plan.keepUpdates === undefined ? {} : { serverState };
  const empty = { round, params, personal: personalAfterLast(state), members: {}, ...kept };
  return openNextRound({ ...state, closed: [...closed, empty] });
}
