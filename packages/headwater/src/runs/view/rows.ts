/**
 * What a page about a run shows, as rows that are told again when they change: `seq` is the event that changed a row last.
 * Plain JSON, of bounded size but for the updates. It knows neither pages nor how rows are made.
 */

import type { EvaluationResult, RejectionCode } from '../../federation/events.ts';
import type { RosterEntry, RunState } from '../../federation/state.ts';

/** Milliseconds that a round spent in each phase, without the time in which no process led the run. */
export interface PhaseTimes {
  readonly training: number;
  readonly aggregating: number;
  readonly validating: number;
}

export interface RoundRow {
  readonly round: number;
  readonly seq: number;
  /** `closed`: its params are final. */
  readonly phase: keyof PhaseTimes | 'closed';
  readonly openedMs: number;
  readonly phaseMs: PhaseTimes;
  /** Owners asked, so far. */
  readonly asked: number;
  readonly accepted: number;
  readonly refused: number;
  /** Clients that said they could not. */
  readonly failed: number;
  /** How often its time was up without a quorum. */
  readonly extensions: number;
  /** Over the accepted updates whose owners told their loss, weighted by targets; nats per target. */
  readonly meanLoss: number | null;
  readonly upBytes: number;
  readonly downBytes: number;
  /** ‖aggregate‖₂; null before. */
  readonly aggregateNorm: number | null;
  /** Share of coordinates clamped to the fixed-point range; null before. */
  readonly clampedShare: number | null;
  /** What the method has to say, by name. */
  readonly figures: Readonly<Record<string, number>>;
}

export interface LastRefusal {
  readonly round: number;
  readonly code: RejectionCode | 'failed';
  readonly reason: string;
}

export interface OwnerRow {
  readonly owner: string;
  readonly seq: number;
  readonly numExamples: number;
  readonly numTokens: number;
  readonly aggregationWeight: number;
  readonly standing: RosterEntry['standing'];
  readonly offences: number;
  readonly accepted: number;
  readonly refused: number;
  readonly failed: number;
  readonly lastRound: number | null;
  /** Null: no update yet, or the owner does not tell it. */
  readonly lastLoss: number | null;
  readonly lastRefusal: LastRefusal | null;
  /** Of the last training, where it could be measured. */
  readonly tokensPerSecond: number | null;
  readonly upBytes: number;
  readonly downBytes: number;
  readonly lastMs: number;
}

/** One update, accepted or not, or a training that failed. */
export interface UpdateRow {
  readonly seq: number;
  readonly round: number;
  readonly owner: string;
  readonly atMs: number;
  readonly accepted: boolean;
  readonly code: RejectionCode | 'failed' | null;
  readonly reason: string | null;
  readonly steps: number;
  readonly numExamples: number;
  readonly numTokens: number;
  readonly meanLoss: number | null;
  readonly updateNorm: number | null;
  readonly upBytes: number;
  readonly downBytes: number;
  readonly tookMs: number | null;
}

export interface EvaluationRow extends EvaluationResult {
  /** `validation/3`, `test/federated`. */
  readonly id: string;
  readonly seq: number;
}

/** What the run is, known from its first event on. */
export interface RunFrame {
  readonly rounds: number;
  readonly cohortSize: number;
  readonly quorum: number;
  readonly localSteps: number;
  readonly mode: 'synchronous' | 'buffered';
  readonly startedMs: number;
  readonly mainMetric: string;
  readonly metrics: readonly { readonly id: string; readonly higherIsBetter: boolean }[];
  readonly chance: Readonly<Record<string, number>>;
  readonly headwater: string | null;
  /** Some owners attack, in a simulation: the sentence that goes with every figure. */
  readonly attack: string | null;
  /** Updates are masked: what is hidden from whom. */
  readonly secureAggregation: string | null;
}

/** Of runs whose updates are clipped and noised. */
export interface PrivacyRow {
  readonly delta: number | null;
  /** Spent by the owner that took part most often; null: nothing is released yet, or nothing is claimed. */
  readonly epsilon: number | null;
  /** What any owner can spend at most. */
  readonly mostEpsilon: number | null;
  readonly releases: number;
  /** What that means, or why nothing is claimed; null before the first release. */
  readonly statement: string | null;
}

export interface RunTotals {
  readonly status: RunState['status'];
  readonly failure: string | null;
  readonly paused: string | null;
  readonly stopping: boolean;
  readonly closedRounds: number;
  /** The round whose params are the result, once there is one. */
  readonly chosenRound: number | null;
  readonly accepted: number;
  readonly refused: number;
  readonly failed: number;
  readonly upBytes: number;
  readonly downBytes: number;
  readonly tokensSeen: number;
  readonly restarts: number;
  readonly lastMs: number;
  /** Null: the run has none. */
  readonly privacy: PrivacyRow | null;
  /** Work seconds by kind, as measured where it was done. */
  readonly workMs: Readonly<Record<string, number>>;
}

/** Rows changed after an event; after event 0 that is all there is. */
export interface RunChanges {
  /** The last event. */
  readonly seq: number;
  readonly frame: RunFrame | null;
  readonly totals: RunTotals | null;
  readonly rounds: readonly RoundRow[];
  readonly owners: readonly OwnerRow[];
  readonly evaluations: readonly EvaluationRow[];
  /** Only of runs with few owners; asked for by round or owner otherwise. */
  readonly updates: readonly UpdateRow[] | null;
}
