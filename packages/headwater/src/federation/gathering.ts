/** Evaluations that owners do on their own held-out examples: who is waited for, and what the answers are together. */

import type { EvaluateWork, EvaluationResult, OwnerScores } from './events.ts';
import { evaluateWorkOf } from './outstanding.ts';
import { activeOwners } from './roster.ts';
import { type Answers, entryOf, type RunState } from './state.ts';

/** Whether the owner has something to say about this work and has not said it. */
export function mayAnswer(state: RunState, work: EvaluateWork, owner: string): boolean {
  const entry = entryOf(state.roster, owner);
  if (state.plan.pace.evaluatedBy !== 'owners' || entry?.standing !== 'active') return false;
  if ((entry.heldOut?.[work.split] ?? 0) === 0) return false;
  return answerOf(state.answers[work.evaluation] ?? {}, owner) === undefined;
}

const GROUPS = 128;

/** FNV-1a of the name, so that groups are of similar size. */
function groupOf(owner: string): string {
  let hash = 0x811c9dc5;
  for (let i = 0; i < owner.length; i++) hash = Math.imul(hash ^ owner.charCodeAt(i), 0x01000193);
  return `g${(hash >>> 0) % GROUPS}`;
}

function answerOf(answers: Answers, owner: string): OwnerScores | undefined {
  return entryOf(answers[groupOf(owner)] ?? {}, owner);
}

export function withAnswer(
  state: RunState,
  evaluation: string,
  owner: string,
  result: OwnerScores,
): RunState {
  const work = evaluateWorkOf(state).find((item) => item.evaluation === evaluation);
  if (work === undefined || !mayAnswer(state, work, owner)) return state;
  const given = state.answers[evaluation] ?? {};
  const group = groupOf(owner);
  const answers = { ...given, [group]: { ...given[group], [owner]: result } };
  return { ...state, answers: { ...state.answers, [evaluation]: answers } };
}

/** Its time is up: what came is the result. */
export function withoutMoreAnswers(state: RunState, evaluation: string): RunState {
  const open = evaluateWorkOf(state).some((item) => item.evaluation === evaluation);
  return open && state.plan.pace.evaluatedBy === 'owners' ? closed(state, evaluation) : state;
}

/** Closes the evaluations for which nobody is waited for any more; closing one may be what others waited for. */
export function withClosedEvaluations(state: RunState): RunState {
  if (state.plan.pace.evaluatedBy !== 'owners' || state.status !== 'running') return state;
  const over = evaluateWorkOf(state).filter((work) => !isWaitedFor(state, work));
  if (over.length === 0) return state;
  return withClosedEvaluations(over.reduce((next, { evaluation }) => closed(next, evaluation), state));
}

function isWaitedFor(state: RunState, work: EvaluateWork): boolean {
  return activeOwners(state).some((owner) => mayAnswer(state, work, owner));
}

function closed(state: RunState, evaluation: string): RunState {
  const { [evaluation]: given = {}, ...answers } = state.answers;
  return { ...state, answers, evaluations: { ...state.evaluations, [evaluation]: together(given) } };
}

/**
 * Means over owners: of `loss` by supervised tokens, of other scores by examples. A score that an owner does not have is
 * left out of its mean. Figures that are no means (F1) are thereby means of the owners' figures.
 */
function together(answers: Answers): EvaluationResult {
  const given = Object.values(answers)
    .flatMap((group) => Object.entries(group))
    .sort(([a], [b]) => (a < b ? -1 : 1));
  const results = given.map(([, result]) => result);
  const metrics = new Set(['loss', ...results.flatMap(({ scores }) => Object.keys(scores))]);
  return {
    numExamples: results.reduce((sum, { numExamples }) => sum + numExamples, 0),
    pooled: Object.fromEntries([...metrics].map((metric) => [metric, meanOf(results, metric)])),
    owners: Object.fromEntries(
      given.map(([name, { numExamples, scores }]) => [name, { numExamples, scores }]),
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
