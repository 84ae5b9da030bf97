/** Answers of owners to a round machine, without a simulated world. */

import type { UpdateReceived } from '../../src/federation/events.ts';
import { step } from '../../src/federation/machine.ts';
import type { RunState } from '../../src/federation/state.ts';

export function trained(
  state: RunState,
  owner: string,
  change: Partial<UpdateReceived> = {},
): UpdateReceived {
  return {
    type: 'update-received',
    round: state.open!.round,
    owner,
    update: `update ${owner} ${state.open!.round}`,
    personal: null,
    upBytes: 1,
    downBytes: 1,
    check: { ok: true, l2Norm: 1 },
    stats: { steps: 1, numExamples: 1, numTokens: 1, numTargets: 1, meanLoss: 1, lastLoss: 1 },
    ...change,
  };
}

/** Accepted from the first `count` of the cohort. */
export function afterAnswers(state: RunState, count: number): RunState {
  return state
    .open!.cohort.slice(0, count)
    .reduce((now, owner) => step(now, trained(now, owner)).state, state);
}
