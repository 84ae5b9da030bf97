/**
 * Since when a run waits for what: pure functions of events with their times (`observed.endedMs`), so that what is left of a
 * deadline survives a restart. While a run is paused no time passes for it: the clocks start anew when it goes on.
 */

import type { Effect, RunEvent } from '../../federation/events.ts';
import { evaluateWorkOf } from '../../federation/outstanding.ts';
import type { RunState } from '../../federation/state.ts';

export interface RunTimes {
  /** When the open round, or its latest extension, began. */
  readonly roundMs: number;
  /** When owners were asked for the evaluation. */
  readonly evaluationMs: Readonly<Record<string, number>>;
}

export const NO_TIMES: RunTimes = { roundMs: 0, evaluationMs: {} };

export function endedMsOf(event: RunEvent): number {
  return (event.observed as { readonly endedMs?: number } | undefined)?.endedMs ?? 0;
}

export function timesAfter(
  times: RunTimes,
  before: RunState | undefined,
  after: RunState,
  event: RunEvent,
  effects: readonly Effect[],
): RunTimes {
  const endedMs = endedMsOf(event);
  if (event.type === 'continued')
    return {
      roundMs: endedMs,
      evaluationMs: Object.fromEntries(Object.keys(times.evaluationMs).map((id) => [id, endedMs])),
    };
  const sameRound =
    before?.open?.round === after.open?.round && before?.open?.extension === after.open?.extension;
  const asked = effects.flatMap((effect) => (effect.kind === 'evaluate' ? [effect.evaluation] : []));
  if (sameRound && asked.length === 0) return times;
  const open = new Set(asked.length === 0 ? [] : evaluateWorkOf(after).map(({ evaluation }) => evaluation));
  const kept = Object.entries(times.evaluationMs).filter(([id]) => asked.length === 0 || open.has(id));
  const added = asked.map((id) => [id, endedMs] as const);
  return {
    roundMs: sameRound ? times.roundMs : endedMs,
    evaluationMs: Object.fromEntries([...kept, ...added]),
  };
}

export interface Deadline {
  readonly atMs: number;
  readonly event: Extract<RunEvent, { type: 'deadline' | 'evaluation-deadline' }>;
}

/** Until when the open round takes updates; undefined: no deadline. */
export function roundDeadlineMs({ plan, open }: RunState, times: RunTimes): number | undefined {
  const { deadlineMs } = plan.pace;
  return open?.phase === 'training' && deadlineMs !== null ? times.roundMs + deadlineMs : undefined;
}

/** What happens next if nothing else does. */
export function nextDeadline(state: RunState, times: RunTimes): Deadline | undefined {
  if (state.status !== 'running' || state.paused !== null) return undefined;
  const deadlines: Deadline[] = [];
  const { open, plan } = state;
  const roundMs = roundDeadlineMs(state, times);
  if (roundMs !== undefined)
    deadlines.push({
      atMs: roundMs,
      event: { type: 'deadline', round: open!.round, extension: open!.extension },
    });
  const { evaluationDeadlineMs, evaluatedBy } = plan.pace;
  if (evaluationDeadlineMs !== null && evaluatedBy === 'owners')
    for (const { evaluation } of evaluateWorkOf(state))
      deadlines.push({
        atMs: (times.evaluationMs[evaluation] ?? 0) + evaluationDeadlineMs,
        event: { type: 'evaluation-deadline', evaluation },
      });
  return deadlines.reduce<Deadline | undefined>(
    (first, next) => (first === undefined || next.atMs < first.atMs ? next : first),
    undefined,
  );
}
