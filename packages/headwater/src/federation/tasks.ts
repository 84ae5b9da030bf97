/** What one owner should do next: a function of the state, so that a client that lost everything is told the same again. */

import type { EvaluateWork, TrainWork } from './events.ts';
import { mayAnswer } from './gathering.ts';
import { evaluateWorkOf, trainWork } from './outstanding.ts';
import { awaits, isAsked } from './rounds.ts';
import type { RunState } from './state.ts';

export type OwnerTask = TrainWork | EvaluateWork;

/** Undefined: nothing at present. */
export function taskOf(state: RunState, owner: string): OwnerTask | undefined {
  const { open } = state;
  if (state.status !== 'running' || state.paused !== null) return undefined;
  if (open?.phase === 'training' && isAsked(open, owner) && awaits(open, owner))
    return trainWork(state, open.round, owner);
  if (state.plan.pace.evaluatedBy !== 'owners') return undefined;
  return evaluateWorkOf(state).find((work) => mayAnswer(state, work, owner));
}
