/** How single rows follow from an event: pure functions, each of one kind of row. */

import { attackStatement } from '../../federation/attacks/attackers.ts';
import type { Receipt, RunEvent } from '../../federation/events.ts';
import type { RosterEntry, RunState } from '../../federation/state.ts';
import { chosenRound } from '../../federation/stopping.ts';
import type { Provenance } from '../provenance.ts';
import { secureAggregationOf } from '../secure-aggregation.ts';
import { trainingMs } from '../training-ms.ts';
import { privacyAfter } from './privacy-row.ts';
import type { OwnerRow, RunFrame, RunTotals, UpdateRow } from './rows.ts';

export function frameOf(
  { plan, provenance }: Extract<RunEvent, { type: 'created' }>,
  startedMs: number,
): RunFrame {
  // Runs of tests have none.
  const { facts, environment } = (provenance ?? {}) as Partial<Provenance>;
  const { rounds, cohortSize, quorum, localSteps, pace } = plan;
  return {
    ...{ rounds, cohortSize, quorum, localSteps, startedMs },
    mode: pace.mode,
    mainMetric: facts?.mainMetric ?? 'loss',
    metrics: (facts?.metrics ?? []).map(({ id, higherIsBetter }) => ({ id, higherIsBetter })),
    chance: facts?.chance ?? {},
    headwater: environment?.headwater ?? null,
    attack: plan.attack === undefined ? null : attackStatement(plan.attack, plan.owners.length),
    secureAggregation: secureAggregationOf(plan)?.statement ?? null,
  };
}

/** Undefined: the event is about no training of a client. */
export function updateOf(
  seq: number,
  event: RunEvent,
  atMs: number,
  receipt: Receipt | undefined,
  simulated: boolean,
): UpdateRow | undefined {
  if (event.type === 'client-failed') {
    const { round, owner, reason } = event;
    const nothing = { steps: 0, numExamples: 0, numTokens: 0, upBytes: 0, downBytes: 0 };
    const unknown = { meanLoss: null, updateNorm: null, tookMs: null };
    return { seq, round, owner, atMs, accepted: false, code: 'failed', reason, ...nothing, ...unknown };
  }
  if (event.type !== 'update-received') return undefined;
  const { round, owner, check, stats, upBytes, downBytes } = event;
  const { steps, numExamples, numTokens, meanLoss } = stats;
  return {
    ...{ seq, round, owner, atMs, steps, numExamples, numTokens, meanLoss, upBytes, downBytes },
    accepted: receipt?.accepted ?? check.ok,
    code: receipt?.code ?? null,
    reason: receipt?.reason ?? null,
    updateNorm: check.ok ? check.l2Norm : null,
    tookMs: trainingMs(event, simulated),
  };
}

export function ownerAfter(
  row: OwnerRow | undefined,
  { owner, numExamples, numTokens, aggregationWeight, standing, offences }: RosterEntry,
  seq: number,
  update: UpdateRow | undefined,
): OwnerRow {
  const entry = { owner, numExamples, numTokens, aggregationWeight, standing, offences };
  const before = row ?? FRESH_OWNER;
  if (update === undefined) return { ...before, ...entry, seq };
  const { accepted, code, reason, round, numTokens: trained, tookMs, meanLoss } = update;
  const speed = tookMs === null || tookMs <= 0 || trained === 0 ? null : (1000 * trained) / tookMs;
  return {
    ...before,
    ...entry,
    seq,
    accepted: before.accepted + (accepted ? 1 : 0),
    refused: before.refused + (!accepted && code !== 'failed' ? 1 : 0),
    failed: before.failed + (code === 'failed' ? 1 : 0),
    lastRound: round,
    lastLoss: accepted ? meanLoss : before.lastLoss,
    lastRefusal: accepted || code === null ? before.lastRefusal : { round, code, reason: reason ?? '' },
    tokensPerSecond: speed ?? before.tokensPerSecond,
    upBytes: before.upBytes + update.upBytes,
    downBytes: before.downBytes + update.downBytes,
    lastMs: update.atMs,
  };
}

const FRESH_OWNER = {
  ...{ accepted: 0, refused: 0, failed: 0, upBytes: 0, downBytes: 0, lastMs: 0 },
  ...{ lastRound: null, lastLoss: null, lastRefusal: null, tokensPerSecond: null },
};

export const FRESH_TOTALS: RunTotals = {
  ...{ status: 'running', failure: null, paused: null, stopping: false, closedRounds: 0, chosenRound: null },
  ...{ accepted: 0, refused: 0, failed: 0, upBytes: 0, downBytes: 0, tokensSeen: 0, restarts: 0, lastMs: 0 },
  ...{ privacy: null, workMs: {} },
};

const WORK: Readonly<Partial<Record<RunEvent['type'], string>>> = {
  'update-received': 'clients',
  aggregated: 'aggregation',
  'arm-trained': 'baselines',
  evaluated: 'evaluation',
  published: 'export',
};

export function addToTotals(
  totals: RunTotals,
  state: RunState,
  event: RunEvent,
  update: UpdateRow | undefined,
  lastMs: number,
): RunTotals {
  const { status, failure, paused, stopping, closed } = state;
  const kind = WORK[event.type];
  const tookMs = update?.tookMs ?? (event.observed as { readonly tookMs?: number } | undefined)?.tookMs ?? 0;
  return {
    ...{ status, failure, paused, stopping, lastMs },
    closedRounds: closed.length,
    chosenRound: chosenRound(state)?.round ?? null,
    accepted: totals.accepted + (update?.accepted ? 1 : 0),
    refused: totals.refused + (update !== undefined && !update.accepted && update.code !== 'failed' ? 1 : 0),
    failed: totals.failed + (update?.code === 'failed' ? 1 : 0),
    upBytes: totals.upBytes + (update?.upBytes ?? 0),
    downBytes: totals.downBytes + (update?.downBytes ?? 0),
    tokensSeen: totals.tokensSeen + (update?.numTokens ?? 0),
    restarts: totals.restarts + (event.type === 'resumed' ? 1 : 0),
    privacy: privacyAfter(totals.privacy, state, event),
    workMs:
      kind === undefined ? totals.workMs : { ...totals.workMs, [kind]: (totals.workMs[kind] ?? 0) + tookMs },
  };
}
