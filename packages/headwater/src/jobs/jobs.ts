/**
 * What the main thread asks of a worker, and what it gets back: plain messages. Tensors stay with the workers and travel
 * as blobs; a job's result depends on the job alone, never on who does it or when.
 */

import type { AggregateWork, RunEvent } from '../federation/events.ts';
import type { FixedPointPlan } from '../federation/fixed-point.ts';
import type { OwnNoise } from '../federation/own-noise.ts';
import type { ExampleScore, StepReport, TrainOptions } from '../training/engine.ts';
import type { TrainableTensor } from '../tuning/kind.ts';
import type { MaskOrder, UnmaskOrder } from './masking.ts';
import type { ReleaseOrder } from './release.ts';

/** A job's result is the part of the journal's event that the worker computes. */
type EventOf<T extends RunEvent['type']> = Extract<RunEvent, { readonly type: T }>;

/** Fresh params, or those of a PEFT folder. */
export interface InitJob {
  readonly kind: 'init';
  readonly seed: number;
  readonly adapter: string | null;
}
export interface InitResult {
  readonly params: string;
  readonly tensors: readonly TrainableTensor[];
}

/** `seed`: of the run. */
export interface ServerTraining {
  readonly seed: number;
  readonly options: TrainOptions;
}

/** A client's local training in one round. */
export interface TrainClientJob {
  readonly kind: 'train-client';
  readonly seed: number;
  readonly round: number;
  readonly owner: string;
  /** Global params; where `rest` is given, what this owner was sent of them. */
  readonly params: string;
  /** What it was not sent; null: it was sent everything. */
  readonly rest?: string | null;
  readonly personal: string | null;
  readonly options: TrainOptions;
  /** ‖update‖₂ above which it is scaled down before it is sent; omitted: any length. */
  readonly clipNorm?: number | undefined;
  /** That the client adds to what it clipped. */
  readonly ownNoise?: OwnNoise | undefined;
  /** What is added to the update before it is sent; omitted: nothing. */
  readonly mask?: MaskOrder | undefined;
}
export type TrainClientResult = Pick<
  EventOf<'update-received'>,
  'update' | 'personal' | 'upBytes' | 'downBytes' | 'check' | 'stats' | 'unclippedNorm'
>;

/** What an adversary of a simulation sends in a round. */
export interface AttackJob {
  readonly kind: 'attack';
  readonly seed: number;
  readonly round: number;
  readonly owner: string;
  /** What it learnt; null: nothing. */
  readonly own: string | null;
  /** What it sees of others. */
  readonly honest: readonly string[];
  /** How it masks what it sends, and how the others did; omitted: nothing is masked. */
  readonly mask?: MaskOrder;
  readonly honestMasks?: readonly MaskOrder[];
  /** Global params one round before those of this round; null in the first. */
  readonly before: string | null;
  readonly params: string;
  readonly numUpdates: number;
  readonly numAdversaries: number;
}
export type AttackResult = Pick<EventOf<'update-received'>, 'update' | 'upBytes' | 'check'>;

/** A part of global params for an owner: `sent`, or the `rest` that it has without being sent it. */
export interface CutJob {
  readonly kind: 'cut';
  readonly part: 'sent' | 'rest';
  readonly params: string;
  readonly seed: number;
  readonly round: number;
  readonly owner: string;
  /** Otherwise only its name and size are wanted. */
  readonly withFile: boolean;
}
export interface CutResult {
  readonly digest: string;
  readonly bytes: number;
  readonly file?: Uint8Array;
}

/** One uninterrupted training on the pooled data of some owners. */
export interface TrainArmJob {
  readonly kind: 'train-arm';
  readonly arm: string;
  readonly owners: readonly string[];
  readonly params: string;
  readonly options: TrainOptions;
}
export type TrainArmResult = Pick<EventOf<'arm-trained'>, 'params' | 'stats'>;

export interface AggregateJob {
  readonly kind: 'aggregate';
  readonly work: AggregateWork;
  readonly fixedPoint: FixedPointPlan;
  readonly serverLearningRate: number;
  /** How a server trains, for methods whose server does. */
  readonly training?: ServerTraining | undefined;
  /** How the server trains the next params before they are used; omitted: they are used as they are. */
  readonly realign?: ServerTraining | undefined;
  readonly release?: ReleaseOrder | undefined;
  /** Of masked updates; omitted: they are not. */
  readonly unmask?: UnmaskOrder | undefined;
}
export type AggregateResult = Pick<
  EventOf<'aggregated'>,
  'params' | 'serverState' | 'report' | 'aggregateNorm' | 'excluded' | 'watch'
>;

/** What a round would have come to with some of its members: the scores of validation pieces by the global params after it. */
export interface CoalitionJob {
  readonly kind: 'coalition';
  /** Without members: nothing is added to the params before the round. */
  readonly work: AggregateWork;
  readonly fixedPoint: FixedPointPlan;
  readonly serverLearningRate: number;
  readonly training?: ServerTraining | undefined;
  /** That follows in this round, whoever its members are. */
  readonly realign?: ServerTraining | undefined;
  /** Of the validation set. */
  readonly positions: readonly number[];
  readonly batchSize: number;
  readonly maxLength: number;
}

/** Scores of the pieces begin … end − 1 of a held-out set. */
export interface ScoreJob {
  readonly kind: 'score';
  readonly split: 'validation' | 'test';
  readonly begin: number;
  readonly end: number;
  readonly params: string;
  readonly personal: Readonly<Record<string, string>>;
  readonly batchSize: number;
  readonly maxLength: number;
}

/** Texts for the prompts begin … end − 1 of a held-out set. */
export interface WriteJob {
  readonly kind: 'write';
  readonly split: 'validation' | 'test';
  readonly begin: number;
  readonly end: number;
  readonly params: string;
  readonly personal: Readonly<Record<string, string>>;
  readonly batchSize: number;
  /** Tokens of the set's longest prompt and its answer together. */
  readonly maxTokens: number;
}

/** Writes params as a PEFT folder (or a model folder for kinds that train whole checkpoints). */
export interface ExportJob {
  readonly kind: 'export';
  readonly params: string;
  readonly folder: string;
  /** What the result's README.md says; omitted: it has none. */
  readonly card?: string | undefined;
}

export interface JobTypes {
  readonly init: { readonly job: InitJob; readonly result: InitResult };
  readonly 'train-client': { readonly job: TrainClientJob; readonly result: TrainClientResult };
  readonly attack: { readonly job: AttackJob; readonly result: AttackResult };
  readonly cut: { readonly job: CutJob; readonly result: CutResult };
  readonly 'train-arm': { readonly job: TrainArmJob; readonly result: TrainArmResult };
  readonly aggregate: { readonly job: AggregateJob; readonly result: AggregateResult };
  readonly coalition: { readonly job: CoalitionJob; readonly result: readonly ExampleScore[] };
  readonly score: { readonly job: ScoreJob; readonly result: readonly ExampleScore[] };
  readonly write: { readonly job: WriteJob; readonly result: readonly string[] };
  readonly export: { readonly job: ExportJob; readonly result: null };
}

export type Job = JobTypes[keyof JobTypes]['job'];
export type ResultOf<J extends Job> = JobTypes[J['kind']]['result'];
export type OnStep = (report: StepReport) => void;

/** Does one job at a time. */
export interface JobRunner {
  run<J extends Job>(job: J, onStep?: OnStep): Promise<ResultOf<J>>;
}
