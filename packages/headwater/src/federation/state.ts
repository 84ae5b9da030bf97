/** The state of a run between two events: plain JSON, a function of the journal alone. It decides nothing. */

import type { EvaluationResult, Excluded, Member, OwnerScores } from './events.ts';
import type { MaskedFacts } from './masking/secure-aggregation.ts';
import type { OwnerPlan, RunPlan } from './plan.ts';
import type { Observation, Trained } from './selection/selection.ts';

export type Phase = 'training' | 'aggregating' | 'validating';

export interface AcceptedUpdate {
  /** Round for which it was trained; older than the open one in buffered runs. */
  readonly round: number;
  readonly update: string;
  readonly personal: string | null;
  /** What the training showed, in runs that choose owners by it. */
  readonly trained?: Observation;
  readonly masked?: MaskedFacts;
  /** ‖update‖₂, where a round's lengths are compared. */
  readonly norm?: number;
  /** The owner who sent the same bytes before, in this round. */
  readonly copyOf?: string;
}

/** What the run knows of an owner. Only `active` owners are asked. */
export interface RosterEntry extends OwnerPlan {
  readonly standing: 'active' | 'quarantined' | 'left';
  /** Rejected updates so far. */
  readonly offences: number;
  /** Releases with its update in them, in runs with privacy of clients; updates that it sent, in those with privacy of examples. */
  readonly participations?: number;
  /** Latest round for which an update of it was accepted; 0: none. */
  readonly lastRound: number;
}

export interface OpenRound {
  readonly round: number;
  readonly phase: Phase;
  /** How often the deadline passed without a quorum. */
  readonly extension: number;
  /** How often it was begun anew because masks could not be taken away; absent: never. */
  readonly abandoned?: number;
  /** Where owners open the masks together: who takes part in this attempt, sorted, since their keys are fixed; absent: not yet. */
  readonly keyed?: readonly string[];
  /** Its cohort is still to be drawn by secret coin flips. */
  readonly undrawn?: true;
  /** Who is asked, sorted by name. */
  readonly cohort: readonly string[];
  readonly accepted: Readonly<Record<string, AcceptedUpdate>>;
  /** Reasons of rejected, failed and silent clients. */
  readonly lost: Readonly<Record<string, string>>;
  /** Who is counted: fixed when aggregation begins, sorted by owner. */
  readonly members: readonly Member[] | null;
  /** Who was accepted and is not counted: fixed with the members. Absent: nobody. */
  readonly excluded?: readonly Excluded[];
}

export interface ClosedRound {
  readonly round: number;
  /** Global params after the round. */
  readonly params: string;
  /** What owners keep after the round: blob by owner; empty for methods without personal tensors. */
  readonly personal: Readonly<Record<string, string>>;
  /** Update by owner: who was counted with what. */
  readonly members: Readonly<Record<string, string>>;
  /** Whose updates were accepted and put aside with the round; absent: nobody’s. */
  readonly excluded?: readonly string[];
  /** What their trainings showed, in runs that choose owners by it. */
  readonly trained?: Trained;
  /** What the server kept after the round, in runs that keep their updates. */
  readonly serverState?: string | null;
}

/** Answers by owner, in groups by the owner's name: one more answer copies a group, not those of thousands of owners. */
export type Answers = Readonly<Record<string, Readonly<Record<string, OwnerScores>>>>;

/** How a baseline ended. */
export type ArmOutcome = { readonly params: string } | { readonly failure: string };

export interface RunState {
  readonly plan: RunPlan;
  readonly status: 'running' | 'finished' | 'failed' | 'cancelled';
  /** Why a failed run failed or a cancelled one was cancelled. */
  readonly failure: string | null;
  /** Why no work is handed out at present; null when it is. */
  readonly paused: string | null;
  /** True: no further round opens. */
  readonly stopping: boolean;
  readonly roster: Readonly<Record<string, RosterEntry>>;
  /** Undefined when no further round will open. */
  readonly open: OpenRound | undefined;
  readonly closed: readonly ClosedRound[];
  /** Global params after the last closed round. */
  readonly params: string;
  readonly serverState: string | null;
  /** C of the next round, in runs that clip. */
  readonly clipNorm?: number;
  /** First round of the tree of noise that goes on, in runs that have one. */
  readonly treeBegan?: number;
  /** What a watch for free-riders keeps. */
  readonly watchMemory?: string;
  readonly arms: Readonly<Record<string, ArmOutcome>>;
  readonly evaluations: Readonly<Record<string, EvaluationResult>>;
  /** Answers to evaluations that owners are doing, by evaluation. */
  readonly answers: Readonly<Record<string, Answers>>;
}

/** Owners choose their names: `constructor` must not be found in a record that has no such entry. */
export function entryOf<T>(record: Readonly<Record<string, T>>, key: string): T | undefined {
  return Object.hasOwn(record, key) ? record[key] : undefined;
}

export function personalAfterLast(state: RunState): Readonly<Record<string, string>> {
  return state.closed.at(-1)?.personal ?? {};
}

export function validationId(round: number): string {
  return `validation/${round}`;
}

/** Whom a test evaluation is about: `base`, `federated`, or an arm. */
export function testId(subject: string): string {
  return `test/${subject}`;
}

/** Mean validation loss after a round (0: at the start); undefined when not (yet) known or not finite. */
export function validationLoss(state: RunState, round: number): number | undefined {
  return state.evaluations[validationId(round)]?.pooled.loss ?? undefined;
}
