/** Pure choices over a run's history: which rounds are validated, when to stop, which round's params are the result. */

import type { RunPlan } from './plan.ts';
import { type ClosedRound, type RunState, validationId, validationLoss } from './state.ts';

/** Whether params after this round are validated: every so many rounds, and after the last. */
export function isValidated(plan: Pick<RunPlan, 'validateEveryRounds' | 'rounds'>, round: number): boolean {
  if (plan.validateEveryRounds === 0) return false;
  return round % plan.validateEveryRounds === 0 || round === plan.rounds;
}

/** True after a validated round when the validation loss has not improved by more than minDelta for patienceRounds rounds. */
export function shouldStop(state: RunState): boolean {
  const { earlyStopping } = state.plan;
  const last = state.closed.at(-1)?.round ?? 0;
  if (earlyStopping === null || !isValidated(state.plan, last)) return false;
  let reference = Number.POSITIVE_INFINITY;
  let improvedAt = 0;
  for (const { round } of [{ round: 0 }, ...state.closed]) {
    const loss = validationLoss(state, round);
    if (loss === undefined || loss >= reference - earlyStopping.minDelta) continue;
    reference = loss;
    improvedAt = round;
  }
  return last - improvedAt >= earlyStopping.patienceRounds;
}

/**
 * The round whose params are the result: the last, or with keepBest the one of least validation loss (the earliest of
 * equals; the start does not compete). Undefined while a round is open or a needed validation is outstanding.
 */
export function chosenRound(state: RunState): ClosedRound | undefined {
  const last = state.closed.at(-1);
  if (state.open !== undefined || last === undefined) return undefined;
  if (!state.plan.keepBest) return last;
  const validated = state.closed.filter(({ round }) => isValidated(state.plan, round));
  if (!validated.every(({ round }) => state.evaluations[validationId(round)] !== undefined)) return undefined;
  let best: { readonly chosen: ClosedRound; readonly loss: number } | undefined;
  for (const closed of validated) {
    const loss = validationLoss(state, closed.round);
    if (loss !== undefined && (best === undefined || loss < best.loss)) best = { chosen: closed, loss };
  }
  return best?.chosen ?? last;
}
