/** The rows of rounds: when each opened, how long its phases took, who answered. It keeps time by the events alone. */

import type { RunEvent } from '../../federation/events.ts';
import { hidesCohorts } from '../../federation/poisson-cohort.ts';
import type { OpenRound, RunState } from '../../federation/state.ts';
import type { PhaseTimes, RoundRow, UpdateRow } from './rows.ts';

export interface Moment {
  readonly seq: number;
  readonly event: RunEvent;
  readonly nowMs: number;
  /** Of the event before. */
  readonly lastMs: number;
  readonly before: RunState | undefined;
  readonly after: RunState;
}

export interface RoundRows {
  follow(moment: Moment): void;
  count(update: UpdateRow, event: RunEvent): void;
  all(): readonly RoundRow[];
}

interface Kept {
  row: RoundRow;
  /** Σ loss · targets and Σ targets of what was told. */
  lossSum: number;
  targets: number;
}

const NO_TIME: PhaseTimes = { training: 0, aggregating: 0, validating: 0 };

export function createRoundRows(): RoundRows {
  const rounds = new Map<number, Kept>();

  function change(round: number, seq: number, with_: Partial<RoundRow>): void {
    const kept = rounds.get(round);
    if (kept !== undefined) kept.row = { ...kept.row, ...with_, seq };
  }

  function addTime({ before, event, lastMs, nowMs, seq }: Moment): void {
    const open = before?.open;
    // Nobody led the run before this event.
    if (open === undefined || event.type === 'resumed' || before?.paused !== null) return;
    const kept = rounds.get(open.round);
    if (kept === undefined || nowMs <= lastMs) return;
    const { phaseMs } = kept.row;
    change(open.round, seq, { phaseMs: { ...phaseMs, [open.phase]: phaseMs[open.phase] + nowMs - lastMs } });
  }

  function show(open: OpenRound, { seq, nowMs, after }: Moment): void {
    const { round, phase, extension } = open;
    const cohort = hidesCohorts(after.plan) ? [] : open.cohort;
    if (!rounds.has(round)) rounds.set(round, { row: newRow(round, seq, nowMs), lossSum: 0, targets: 0 });
    const { row } = rounds.get(round)!;
    if (row.phase !== phase || row.extensions !== extension || row.asked !== cohort.length)
      change(round, seq, { phase, extensions: extension, asked: cohort.length });
  }

  return {
    follow(moment) {
      const { before, after, event, seq } = moment;
      addTime(moment);
      if (event.type === 'aggregated' && before?.open?.round === event.round)
        change(event.round, seq, aggregateOf(event));
      const left = before?.open;
      if (left !== undefined && left.round !== after.open?.round)
        change(left.round, seq, { phase: 'closed' });
      if (after.open !== undefined && after.open !== left) show(after.open, moment);
    },
    count(update, event) {
      const kept = rounds.get(update.round);
      if (kept === undefined) return;
      const { row } = kept;
      const loss = update.accepted && event.type === 'update-received' ? update.meanLoss : null;
      if (loss !== null && event.type === 'update-received') {
        kept.lossSum += loss * event.stats.numTargets;
        kept.targets += event.stats.numTargets;
      }
      change(update.round, update.seq, {
        accepted: row.accepted + (update.accepted ? 1 : 0),
        refused: row.refused + (!update.accepted && update.code !== 'failed' ? 1 : 0),
        failed: row.failed + (update.code === 'failed' ? 1 : 0),
        meanLoss: kept.targets === 0 ? null : kept.lossSum / kept.targets,
        upBytes: row.upBytes + update.upBytes,
        downBytes: row.downBytes + update.downBytes,
      });
    },
    all: () => [...rounds.values()].map(({ row }) => row),
  };
}

function newRow(round: number, seq: number, openedMs: number): RoundRow {
  return {
    ...{ round, seq, openedMs, phase: 'training', phaseMs: NO_TIME },
    ...{ asked: 0, accepted: 0, refused: 0, failed: 0, extensions: 0 },
    ...{ meanLoss: null, upBytes: 0, downBytes: 0, aggregateNorm: null, clampedShare: null, figures: {} },
  };
}

function aggregateOf({
  aggregateNorm,
  report,
}: Extract<RunEvent, { type: 'aggregated' }>): Partial<RoundRow> {
  const { clamped, coordinates, figures = {} } = report;
  return { aggregateNorm, clampedShare: coordinates === 0 ? 0 : clamped / coordinates, figures };
}
