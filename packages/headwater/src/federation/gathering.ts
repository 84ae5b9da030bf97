/** Evaluations that owners do on their own held-out examples: who is waited for, and what the answers are together. */

import type { EvaluateWork, EvaluationResult, OwnerScores, Scores } from './events.ts';
import { evaluateWorkOf } from './outstanding.ts';
import { entryOf, type RunState } from './state.ts';

/** Whether the owner has something to say about this work and has not said it. */
export function mayAnswer(state: RunState, work: EvaluateWork, owner: string): boolean {
  const entry = entryOf(state.roster, owner);
  if (state.plan.pace.evaluatedBy !== 'owners' || entry?.standing !== 'active') return false;
  if ((entry.heldOut?.[work.split] ?? 0) === 0) return false;
  return entryOf(state.answers[work.evaluation] ?? {}, owner) === undefined;
}

export function withAnswer(
  state: RunState,
  evaluation: string,
  owner: string,
  result: OwnerScores,
): RunState {
  const work = evaluateWorkOf(state).find((item) => item.evaluation === evaluation);
  if (work === undefined || !mayAnswer(state, work, owner)) return state;
  const given = { ...state.answers[evaluation], [owner]: result };
  return { ...state, answers: { ...state.answers, [evaluation]: given } };
}

/** Its time is up: what came is the result. */
export function withoutMoreAnswers(state: RunState, evaluation: string): RunState {
  const open = evaluateWorkOf(state).some((item) => item.evaluation === evaluation);
  return open && state.plan.pace.evaluatedBy === 'owners' ? closed(state, evaluation) : state;
}

/** Closes the evaluations for which nobody is waited for any more. */
export function withClosedEvaluations(state: RunState): RunState {
  if (state.plan.pace.evaluatedBy !== 'owners' || state.status !== 'running') return state;
  let next = state;
  for (const work of evaluateWorkOf(state)) {
    const waits = Object.keys(state.roster).some((owner) => mayAnswer(state, work, owner));
    if (!waits) next = closed(next, work.evaluation);
  }
  return next;
}

function closed(state: RunState, evaluation: string): RunState {
  const { [evaluation]: given = {}, ...answers } = state.answers;
  return { ...state, answers, evaluations: { ...state.evaluations, [evaluation]: together(given) } };
}

/**
 * Means over owners: of `loss` by supervised tokens, of other scores by examples. A score that an owner does not have is
 * left out of its mean. Figures that are no means (F1) are thereby means of the owners' figures.
 */
function together(given: Readonly<Record<string, OwnerScores>>): EvaluationResult {
  const names = Object.keys(given).sort();
  const metrics = [...new Set(['loss', ...names.flatMap((name) => Object.keys(given[name]!.scores))])];
  const pooled: Record<string, number | null> = {};
  for (const metric of metrics)
    pooled[metric] = meanOf(
      names.map((name) => given[name]!),
      metric,
    );
  return {
    numExamples: names.reduce((sum, name) => sum + given[name]!.numExamples, 0),
    pooled: pooled as Scores,
    owners: Object.fromEntries(
      names.map((name) => [name, { numExamples: given[name]!.numExamples, scores: given[name]!.scores }]),
    ),
  };
}

function meanOf(results: readonly OwnerScores[], metric: string): number | null {
  let sum = 0;
  let weight = 0;
  for (const { numExamples, numTargets, scores } of results) {
    const value = entryOf(scores, metric);
    if (value === undefined || value === null) continue;
    const share = metric === 'loss' ? numTargets : numExamples;
    sum += share * value;
    weight += share;
  }
  return weight === 0 ? null : sum / weight;
}
