/** What a coordinator does, as lines for the operator's terminal: who came, how rounds went, how runs ended. */

import { formatBytes, formatDuration } from '../base/format.ts';
import type { CoordinatorFact } from '../coordinator/ports.ts';
import type { RunEvent } from '../federation/events.ts';
import { hidesCohorts } from '../federation/poisson-cohort.ts';
import type { RunState } from '../federation/state.ts';
import { scoresText } from './progress-lines.ts';

export interface ServeLines {
  observe(fact: CoordinatorFact): void;
}

interface RoundSoFar {
  readonly losses: number[];
  upBytes: number;
  startedMs: number;
}

export function createServeLines(say: (line: string) => void): ServeLines {
  const rounds = new Map<string, RoundSoFar>();
  const shown = new Set<string>();

  function roundOf(run: string): RoundSoFar {
    const known = rounds.get(run) ?? { losses: [], upBytes: 0, startedMs: 0 };
    rounds.set(run, known);
    return known;
  }

  function follow(run: string, event: RunEvent, state: RunState): void {
    const sofar = roundOf(run);
    const endedMs = (event.observed as { readonly endedMs?: number } | undefined)?.endedMs ?? 0;
    if (event.type === 'created') {
      say(`${run}: begins with ${state.plan.owners.map(({ owner }) => owner).join(', ')}`);
      sofar.startedMs = endedMs;
    }
    if (event.type === 'update-received' && event.check.ok) {
      sofar.upBytes += event.upBytes;
      if (event.stats.meanLoss !== null) sofar.losses.push(event.stats.meanLoss);
    }
    if (event.type === 'aggregated') {
      say(`${run}: ${roundText(event, state, sofar, endedMs)}`);
      rounds.set(run, { losses: [], upBytes: 0, startedMs: endedMs });
    }
    // What was shown before a restart.
    if (event.type === 'resumed') for (const id of Object.keys(state.evaluations)) shown.add(`${run} ${id}`);
    const secret = hidesCohorts(state.plan) && OF_CLIENTS.has(event.type);
    const line = secret ? undefined : lineOf(event, state);
    if (line !== undefined) say(`${run}: ${line}`);
    for (const [id, { pooled }] of Object.entries(state.evaluations)) {
      if (shown.has(`${run} ${id}`)) continue;
      shown.add(`${run} ${id}`);
      if (Object.values(pooled).some((value) => value !== null)) say(`${run}: ${id}  ${scoresText(pooled)}`);
    }
  }

  return {
    observe(fact) {
      if (fact.type === 'enrolled') say(`${fact.run}: ${fact.owner} is here (${fact.owners} so far)`);
      if (fact.type === 'event') follow(fact.run, fact.event, fact.state);
      if (fact.type === 'over')
        say(`${fact.run}: ${fact.status}${fact.reason === null ? '' : `: ${fact.reason}`}`);
    },
  };
}

function roundText(
  { round, report, observed }: Extract<RunEvent, { type: 'aggregated' }>,
  { plan }: RunState,
  { losses, upBytes, startedMs }: RoundSoFar,
  endedMs: number,
): string {
  const loss = losses.length === 0 ? '' : `  training loss ${(sum(losses) / losses.length).toFixed(3)}`;
  const tookMs = (observed as { readonly tookMs?: number } | undefined)?.tookMs ?? 0;
  const took = startedMs === 0 ? '' : ` in ${formatDuration(endedMs - startedMs)}`;
  const counted = hidesCohorts(plan)
    ? 'cohort drawn in secret'
    : `${report.numUpdates} updates (${formatBytes(upBytes)})`;
  return `round ${round}/${plan.rounds}${loss}  ${counted}${took}, added up in ${formatDuration(tookMs)}`;
}

/** Events that tell who was drawn. */
const OF_CLIENTS: ReadonlySet<RunEvent['type']> = new Set(['update-received', 'client-failed']);

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function lineOf(event: RunEvent, state: RunState): string | undefined {
  switch (event.type) {
    case 'update-received':
      return event.check.ok
        ? undefined
        : `update of ${event.owner} refused (${event.check.code}): ${event.check.reason}`;
    case 'client-failed':
      return `${event.owner} cannot train in round ${event.round}: ${event.reason}`;
    case 'deadline':
      return `round ${event.round}: time is up, ${state.open?.round === event.round && state.open.phase === 'training' ? 'too few answered: it is extended' : 'it closes with those who answered'}`;
    case 'attempt-abandoned':
      return event.passedOver === true
        ? `round ${event.round} is passed over, its masks cannot be opened any more: ${event.reason}`
        : `round ${event.round} begins again with fresh keys: ${event.reason}`;
    case 'unmasking-failed':
      return `round ${event.round} goes on without ${event.blamed.join(', ')}: ${event.reason}`;
    case 'owner-joined':
      return `${event.counts.owner} joined`;
    case 'owner-left':
      return `${event.owner} left: ${event.reason}`;
    case 'paused':
      return `paused: ${event.reason}`;
    case 'continued':
      return 'goes on';
    case 'stopping':
      return `stops after this round: ${event.reason}`;
    default:
      return undefined;
  }
}
