/**
 * What the round machine hears (events, journaled) and asks for (effects, performed by a shell). Both are plain JSON: the
 * same run can be driven by virtual clients, by HTTP, or by a replay. Params and updates appear as blob digests only.
 */

import type { AggregationReport } from './fixed-point.ts';
import type { RunPlan } from './plan.ts';

/** JSON that a shell attaches to an event for its own reports (times, environment); the machine never reads it. */
export interface Observed {
  readonly observed?: unknown;
}

/** Facts of a client's training that travel beside the update. */
export interface TrainingStats {
  readonly steps: number;
  readonly numExamples: number;
  readonly numTokens: number;
  readonly numTargets: number;
  /** Mean over the optimizer steps, nats per target; null when not finite. */
  readonly meanLoss: number | null;
  readonly lastLoss: number | null;
}

/** What the receiver found when it read the update's bytes. */
export type UpdateCheck =
  | { readonly ok: true; readonly l2Norm: number }
  | { readonly ok: false; readonly reason: string };

export interface UpdateReceived extends Observed {
  readonly type: 'update-received';
  readonly round: number;
  readonly owner: string;
  readonly update: string;
  /** Tensors that stay with the owner, if the method has any. */
  readonly personal: string | null;
  readonly upBytes: number;
  readonly downBytes: number;
  readonly check: UpdateCheck;
  readonly stats: TrainingStats;
}

/** Scores by name; `loss` (nats per target) is always there. Null stands for NaN and infinity, which JSON has not. */
export type Scores = Readonly<Record<string, number | null>>;

export interface EvaluationResult {
  readonly numExamples: number;
  readonly pooled: Scores;
  readonly owners: Readonly<Record<string, { readonly numExamples: number; readonly scores: Scores }>>;
}

export type RunEvent =
  /** `provenance`: what the run was made from (recipe, data, model, versions), for reports and for checking a restart. */
  | ({ readonly type: 'created'; readonly plan: RunPlan; readonly provenance: unknown } & Observed)
  /** A shell took the run up again. */
  | ({ readonly type: 'resumed' } & Observed)
  | UpdateReceived
  | ({
      readonly type: 'client-failed';
      readonly round: number;
      readonly owner: string;
      readonly reason: string;
    } & Observed)
  /** The round's time is up (only shells with a clock send it). */
  | ({ readonly type: 'deadline'; readonly round: number } & Observed)
  | ({
      readonly type: 'aggregated';
      readonly round: number;
      readonly membership: string;
      readonly params: string;
      readonly serverState: string | null;
      readonly report: AggregationReport;
      readonly aggregateNorm: number;
    } & Observed)
  | ({
      readonly type: 'arm-trained';
      readonly arm: string;
      readonly params: string;
      readonly stats: TrainingStats;
    } & Observed)
  | ({ readonly type: 'arm-failed'; readonly arm: string; readonly reason: string } & Observed)
  | ({
      readonly type: 'evaluated';
      readonly evaluation: string;
      readonly result: EvaluationResult;
    } & Observed)
  /** The results were written. */
  | ({ readonly type: 'published' } & Observed);

/** A frozen member of a round. */
export interface Member {
  readonly owner: string;
  readonly update: string;
  readonly aggregationWeight: number;
}

export interface TrainWork {
  readonly kind: 'train';
  readonly id: string;
  readonly round: number;
  readonly owner: string;
  readonly params: string;
  readonly personal: string | null;
  readonly steps: number;
  readonly stepOffset: number;
  readonly totalSteps: number;
}

export interface AggregateWork {
  readonly kind: 'aggregate';
  readonly id: string;
  readonly round: number;
  readonly params: string;
  readonly serverState: string | null;
  /** Sorted by owner. */
  readonly members: readonly Member[];
  /** Digest of `members`. */
  readonly membership: string;
}

export interface TrainArmWork {
  readonly kind: 'train-arm';
  readonly id: string;
  readonly arm: string;
  readonly owners: readonly string[];
  readonly params: string;
  readonly steps: number;
}

export interface EvaluateWork {
  readonly kind: 'evaluate';
  readonly id: string;
  readonly evaluation: string;
  readonly split: 'validation' | 'test';
  readonly params: string;
  /** Owners whose own examples are scored with their own tensors in place. */
  readonly personal: Readonly<Record<string, string>>;
}

export interface PublishWork {
  readonly kind: 'publish';
  readonly id: string;
  readonly params: string;
  readonly round: number;
}

/** Work that must be done (again) until its event is in the journal; doing it twice gives the same event. */
export type Work = TrainWork | AggregateWork | TrainArmWork | EvaluateWork | PublishWork;

/** The answer to an update, once. */
export interface Receipt {
  readonly kind: 'receipt';
  readonly round: number;
  readonly owner: string;
  readonly update: string;
  readonly accepted: boolean;
  readonly reason: string | null;
}

export type Effect = Work | Receipt;
