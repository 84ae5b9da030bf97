/**
 * What the round machine hears (events, journaled) and asks for (effects, performed by a shell). Both are plain JSON: the
 * same run can be driven by virtual clients, by HTTP, or by a replay. Params and updates appear as blob digests only.
 */

import type { AggregationReport } from './fixed-point.ts';
import type { WatchReport } from './free-riders/report.ts';
import type { Envelope, MaskedFacts, Masking } from './masking/secure-aggregation.ts';
import type { TreeRelease } from './noise-tree.ts';
import type { OwnerCounts, RunPlan } from './plan.ts';
import type { TrainingStats } from './training-stats.ts';

/** JSON that a shell attaches to an event for its own reports (times, environment); the machine never reads it. */
export interface Observed {
  readonly observed?: unknown;
}

/** What the receiver found when it read the update's bytes. */
export type UpdateCheck =
  /** `l2Norm` null: it is withheld. */
  | { readonly ok: true; readonly l2Norm: number | null }
  | { readonly ok: false; readonly code: RejectionCode; readonly reason: string };

/** Why an update does not count. */
export const REJECTIONS = {
  format: 'The bytes are no safetensors file, or no encoding that this run uses.',
  shape: 'Tensors are missing, unknown or of another shape.',
  'not-finite': 'A value is NaN or infinite.',
  norm: 'The update is longer than the run allows.',
  'wrong-base': 'It was trained on another base model or from other params.',
  'stale-round': 'Its round is closed, or not open yet.',
  'not-asked': 'The owner was not asked for an update.',
  'other-update': 'Another update of this owner was accepted for the round.',
  'run-over': 'The run takes no updates any more.',
  'wrong-mask': 'It was masked for another attempt or another weight, or not masked at all.',
} as const;

export type RejectionCode = keyof typeof REJECTIONS;

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
  /** How long the training took, in runs whose choice of owners may look at it and where somebody measures it. */
  readonly trainedMs?: number;
  /** ‖update‖₂ before the client clipped it: a secret of the owner, told in simulated runs that clip. */
  readonly unclippedNorm?: number;
  /** Of masked updates. */
  readonly masked?: MaskedFacts;
}

/** Scores by name; `loss` (nats per target) is always there. Null stands for NaN and infinity, which JSON has not. */
export type Scores = Readonly<Record<string, number | null>>;

export interface EvaluationResult {
  readonly numExamples: number;
  readonly pooled: Scores;
  /** Confidence intervals of `pooled`, by name. Absent where rows are on many machines, and for figures without one. */
  readonly intervals?: Readonly<Record<string, readonly [low: number, high: number]>>;
  /** By subject or category, where examples have one. A group's examples may be in others too. */
  readonly groups?: Readonly<Record<string, { readonly numExamples: number; readonly scores: Scores }>>;
  readonly owners: Readonly<Record<string, { readonly numExamples: number; readonly scores: Scores }>>;
}

/** What one owner found on its own held-out examples. */
export interface OwnerScores {
  readonly numExamples: number;
  /** Supervised tokens in them: what `loss` is a mean over. */
  readonly numTargets: number;
  readonly scores: Scores;
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
  /** The round's time is up (only shells with a clock send it). `extension`: how often it was up before. */
  | ({ readonly type: 'deadline'; readonly round: number; readonly extension: number } & Observed)
  /** An owner joined after the run was created, or came back with other counts. */
  | ({ readonly type: 'owner-joined'; readonly counts: OwnerCounts } & Observed)
  /** It withdrew, or its key was revoked. */
  | ({ readonly type: 'owner-left'; readonly owner: string; readonly reason: string } & Observed)
  /** The operator lifts a quarantine. */
  | ({ readonly type: 'owner-pardoned'; readonly owner: string } & Observed)
  | ({
      readonly type: 'owner-evaluated';
      readonly evaluation: string;
      readonly owner: string;
      readonly result: OwnerScores;
    } & Observed)
  | ({ readonly type: 'evaluation-deadline'; readonly evaluation: string } & Observed)
  /** No work is handed out until `continued`; updates under way are taken. */
  | ({ readonly type: 'paused'; readonly reason: string } & Observed)
  | ({ readonly type: 'continued' } & Observed)
  /** The operator wants no further round: the open one closes, the result is published. */
  | ({ readonly type: 'stopping'; readonly reason: string } & Observed)
  /** The operator wants no result. */
  | ({ readonly type: 'cancelled'; readonly reason: string } & Observed)
  | ({
      readonly type: 'aggregated';
      readonly round: number;
      readonly membership: string;
      readonly params: string;
      readonly serverState: string | null;
      readonly report: AggregationReport;
      readonly aggregateNorm: number;
      readonly excluded?: readonly Excluded[];
      /** Of runs that watch for free-riders. */
      readonly watch?: WatchReport;
    } & Observed)
  /**
   * The masks of a round's members cannot be taken away. With `blamed`: what these sent is at fault, the others stay counted.
   * Without: nothing that was masked for this attempt can be used any more, and everybody is asked again.
   */
  | ({
      readonly type: 'unmasking-failed';
      readonly round: number;
      readonly membership: string;
      readonly blamed: readonly string[];
      readonly reason: string;
    } & Observed)
  /** Who is in a round whose cohort is drawn by secret coin flips, sorted; maybe nobody. */
  | ({ readonly type: 'cohort-drawn'; readonly round: number; readonly owners: readonly string[] } & Observed)
  /** Owners who open the masks together have sent keys: the attempt is among these, sorted. */
  | ({
      readonly type: 'keys-fixed';
      readonly round: number;
      readonly attempt: number;
      readonly owners: readonly string[];
    } & Observed)
  /**
   * Too few of them are left to open the masks: nothing of the attempt is used, and the next one begins with fresh keys. Where
   * owners were asked to open it already, a second sum of the same updates could show the difference to the first: the round is
   * passed over, and its params stay those before it.
   */
  | ({
      readonly type: 'attempt-abandoned';
      readonly round: number;
      readonly attempt: number;
      /** Who fell silent or left; asked again only where the others are too few. */
      readonly gone: readonly string[];
      readonly passedOver?: true;
      readonly reason: string;
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
  /** Somebody was taken out of the result of a run that is over; what it became lies elsewhere, with its receipt. */
  | ({
      readonly type: 'unlearned';
      readonly owner: string;
      readonly method: string;
      readonly exact: boolean;
      /** Digests of the params that knew the owner, and of those that came out (null: several adapters with weights). */
      readonly before: string | null;
      readonly after: string | null;
      /** SHA-256 of what is signed of the receipt. */
      readonly receipt: string;
      /** Base64url; null: nobody signed it. */
      readonly operatorKey: string | null;
      readonly signature: string | null;
    } & Observed)
  /** The results were written. */
  | ({ readonly type: 'published' } & Observed);

/** A frozen member of a round. */
export interface Member {
  readonly owner: string;
  readonly update: string;
  /** Positive integer. */
  readonly aggregationWeight: number;
  /** What it would count if it were fresh; the sum is divided by these. Absent: the same. */
  readonly freshWeight?: number;
  /** For the helper, where two servers aggregate. */
  readonly envelope?: Envelope;
}

/** An accepted update that does not count after all, for what the round as a whole showed. */
export interface Excluded {
  readonly owner: string;
  readonly update: string;
  readonly code: 'norm' | 'copy';
  readonly reason: string;
  /** Whose update it repeats. */
  readonly of?: string;
}

/** What a watch for free-riders needs beside a round's updates. */
export interface WatchWork {
  /** What the watch kept from the round before; null in the first. */
  readonly memory: string | null;
  /** Global params one round earlier; null in the first. */
  readonly before: string | null;
  /** Blocks of the model, from the last, whose adapter tensors are compared. */
  readonly layers: number;
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
  /** ‖update‖₂ above which it is scaled down before it is sent, in runs that clip. */
  readonly clipNorm?: number;
  /** How it is masked before it is sent, in runs with secure aggregation. */
  readonly masking?: Masking;
}

/** Secret coin flips: who of these is in the round. */
export interface DrawWork {
  readonly kind: 'draw';
  readonly id: string;
  readonly round: number;
  /** Sorted by name. */
  readonly owners: readonly string[];
  readonly rate: number;
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
  /** Their part of the aggregation weight of all active owners, in (0, 1]. */
  readonly participation: number;
  readonly clipNorm?: number;
  /** Where noise is that of a tree. */
  readonly tree?: TreeRelease;
  /** Of the round, in runs with secure aggregation. */
  readonly attempt?: number;
  /** Sorted by owner; absent: none. */
  readonly excluded?: readonly Excluded[];
  /** In runs that watch for free-riders. */
  readonly watch?: WatchWork;
  /** Its report has the method's figures. */
  readonly figures?: true;
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
export type Work = TrainWork | DrawWork | AggregateWork | TrainArmWork | EvaluateWork | PublishWork;

/** The answer to an update, once. */
export interface Receipt {
  readonly kind: 'receipt';
  readonly round: number;
  readonly owner: string;
  readonly update: string;
  readonly accepted: boolean;
  readonly code: RejectionCode | null;
  readonly reason: string | null;
}

export type Effect = Work | Receipt;
