/** Pure choices over a run's history: which rounds are validated, when to stop, which round's params are the result. */

import type { RunPlan } from './plan.ts';
import { type Verdict, verdictsOf } from './releases.ts';
import { type ClosedRound, type RunState, validationId, validationLoss } from './state.ts';

/** Whether params after this round are validated: every so many rounds, and after the last. */
export function isValidated(plan: Pick<RunPlan, 'validateEveryRounds' | 'rounds'>, round: number): boolean {
  if (plan.validateEveryRounds === 0) return false;
  return round % plan.validateEveryRounds === 0 || round === plan.rounds;
}

/** Whether a round says what its aggregation lost. The last one always does. */
export function tellsFigures(
  plan: Pick<RunPlan, 'figures' | 'validateEveryRounds' | 'rounds'>,
  round: number,
): boolean {
  return plan.figures === undefined || isValidated(plan, round) || round === plan.rounds;
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

/** Rounds that were validated, once all of them and the beginning have their scores; undefined before. */
function validatedRounds(state: RunState): readonly ClosedRound[] | undefined {
  const validated = state.closed.filter(({ round }) => isValidated(state.plan, round));
  const known = ({ round }: Pick<ClosedRound, 'round'>) =>
    state.evaluations[validationId(round)] !== undefined;
  return validated.every(known) && (state.plan.release === undefined || known({ round: 0 }))
    ? validated
    : undefined;
}

/** What a gate and a vote say about each validated round; undefined while scores are outstanding, empty without a rule. */
export function releaseVerdicts(state: RunState): readonly Verdict[] | undefined {
  const validated = validatedRounds(state);
  return validated && verdictsOf(state, validated);
}

/**
 * The round whose params are the result: the last, or with keepBest the one of least validation loss (the earliest of
 * equals; the start does not compete). With a rule for releases one of those that it lets through; the beginning (round 0) where
 * that is none. Undefined while a round is open or a needed validation is outstanding.
 */
export function chosenRound(state: RunState): ClosedRound | undefined {
  const { plan } = state;
  const last = state.closed.at(-1);
  if (state.open !== undefined || last === undefined) return undefined;
  if (!plan.keepBest && plan.release === undefined) return last;
  const validated = validatedRounds(state);
  if (validated === undefined) return undefined;
  if (plan.release === undefined) return bestOf(state, validated) ?? last;
  const released = new Set(
    verdictsOf(state, validated).flatMap(({ released, round }) => (released ? [round] : [])),
  );
  const candidates = validated.filter(({ round }) => released.has(round));
  const chosen = plan.keepBest ? bestOf(state, candidates) : candidates.at(-1);
  return chosen ?? { round: 0, params: plan.initialParams, personal: {}, members: {} };
}

function bestOf(state: RunState, candidates: readonly ClosedRound[]): ClosedRound | undefined {
  let best: { readonly chosen: ClosedRound; readonly loss: number } | undefined;
  for (const closed of candidates) {
    const loss = validationLoss(state, closed.round);
    if (loss !== undefined && (best === undefined || loss < best.loss)) best = { chosen: closed, loss };
  }
  return best?.chosen;
}
