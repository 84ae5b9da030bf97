/**
 * What a client is built from, without HTTP, files or models: the same code joins from a terminal, from a program, from a
 * browser's worker and in the fault simulation. The owner's data are behind `Trainer` and never seen here.
 */

import type { Clock, Timers } from '../base/clock.ts';
import type { OwnerScores } from '../federation/events.ts';
import type { TrainingStats } from '../federation/training-stats.ts';
import type { Enrolment, Manifest, WireTask } from '../federation/wire/messages.ts';
import type { Transport } from '../federation/wire/transport.ts';

export type TrainTask = Extract<WireTask, { kind: 'train' }>;
export type EvaluateTask = Extract<WireTask, { kind: 'evaluate' }>;

/** Trains and scores on the owner's examples: a pure function of the task, the params and what was kept. */
export interface Trainer {
  readonly counts: Omit<Enrolment, 'lostState'>;
  /** Most bytes that params of this run can have: what is announced to be larger is not fetched. */
  readonly maxParamsBytes: number;
  /** What a training of so many steps costs, where the owner's own noise is what protects it; undefined: nothing. */
  readonly trainingCost?: ((steps: number) => TrainingCost) | undefined;
  /**
   * `kept`: what the accepted training before this one left with the owner; undefined: none. `rest`: what was not sent;
   * undefined: everything was.
   */
  train(
    task: TrainTask,
    params: Uint8Array,
    kept: Uint8Array | undefined,
    signal: AbortSignal,
    rest: Uint8Array | undefined,
  ): Promise<{
    readonly update: Uint8Array;
    readonly kept: Uint8Array | undefined;
    readonly stats: TrainingStats;
  }>;
  /** What a client has without being sent it in a round, made from the manifest’s seed. Absent: it is fetched. */
  rest?(round: number): Promise<Uint8Array>;
  evaluate(
    task: EvaluateTask,
    params: Uint8Array,
    kept: Uint8Array | undefined,
    signal: AbortSignal,
  ): Promise<OwnerScores>;
  close(): Promise<void>;
}

/** What one training costs each example, or the owner itself, and what it counts against. */
export interface TrainingCost {
  /** Each example is protected; or the owner, by its own noise or by a part of what the sum gets. */
  readonly trust: 'example' | 'local' | 'distributed';
  readonly samplingRate: number;
  readonly noiseMultiplier: number;
  readonly steps: number;
  readonly delta: number;
  /** Undefined: no limit. */
  readonly targetEpsilon: number | undefined;
}

/**
 * The client's own durable memory: its key, what it joined, what it kept and what waits for a receipt. Small values are
 * written whole or not at all; `kept` of a training becomes current only with the accepted receipt.
 */
export interface ClientStore {
  load(key: string): Promise<Uint8Array | undefined>;
  save(key: string, value: Uint8Array): Promise<void>;
  remove(key: string): Promise<void>;
}

/** Ed25519 key pair that never leaves its holder. */
export interface Signer {
  /** 32 bytes, raw. */
  readonly publicKey: Uint8Array;
  sign(message: Uint8Array): Promise<Uint8Array>;
}

export interface ClientParts {
  readonly transport: Transport;
  readonly store: ClientStore;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly entropy: (bytes: number) => Uint8Array;
  /** Makes a key pair, or takes one from its saved form. */
  readonly signer: (
    saved: Uint8Array | undefined,
  ) => Promise<{ readonly signer: Signer; readonly saved: Uint8Array }>;
  /** Whether the Ed25519 signature of the message is this key's. */
  readonly verify: (publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array) => Promise<boolean>;
  /** After the manifest was accepted by the policy. `fetchBlob` gets files of the base model, checked. */
  readonly openTrainer: (manifest: Manifest, owner: string, fetchBlob: FetchBlob) => Promise<Trainer>;
  readonly policy: Policy;
  /** SHA-256 in pieces; default: the portable one. */
  readonly hasher?: () => Hasher;
  /** A chunk in fewer bytes, or undefined where that does not pay. Default: chunks go as they are. */
  readonly compress?: (chunk: Uint8Array) => Promise<CompressedChunk | undefined>;
  /** Takes the result of a finished run: its final params. Default: it is not fetched. */
  readonly onResult?: (params: Uint8Array) => Promise<void>;
  readonly onEvent: (event: ClientEvent) => void;
}

/** Brings a blob into a sink, checked. */
export type FetchBlob = (
  blob: { readonly digest: string; readonly bytes: number },
  sink: BlobSink,
  signal?: AbortSignal,
) => Promise<void>;

/** Where a download goes. After a broken connection it goes on behind what is there. */
export interface BlobSink {
  /** Bytes that are there already. */
  readonly have: number;
  write(piece: Uint8Array): Promise<void>;
  /** Forgets everything: what came was not what was asked for. */
  reset(): Promise<void>;
  /** SHA-256 of everything written. */
  digest(): Promise<string>;
}

export interface Hasher {
  update(bytes: Uint8Array): void;
  /** Lower-case hex; ends it. */
  hex(): string;
}

export interface CompressedChunk {
  readonly encoding: 'gzip' | 'zstd';
  readonly bytes: Uint8Array;
}

/** What the owner of the data allows. */
export interface Policy {
  /** Says why not, one line each; empty: accepted. */
  accepts(manifest: Manifest): readonly string[];
  /** Whether a figure of this name may be told to the coordinator. */
  mayLeave(metric: string): boolean;
}

/** What a user is shown. */
export type ClientEvent =
  | { readonly type: 'joined'; readonly run: string; readonly owner: string }
  /** What is hidden from whom in this run, and the key of this client, base64url. */
  | { readonly type: 'masked'; readonly words: string; readonly publicKey: string }
  /** What was kept between rounds is gone or damaged: it starts as new. */
  | { readonly type: 'lost-state' }
  | {
      readonly type: 'waiting';
      readonly round: number;
      readonly rounds: number;
      /** The run is paused. */
      readonly paused?: true;
    }
  | { readonly type: 'task'; readonly task: WireTask }
  | { readonly type: 'downloading'; readonly doneBytes: number; readonly totalBytes: number }
  | { readonly type: 'uploading'; readonly doneBytes: number; readonly totalBytes: number }
  | { readonly type: 'step'; readonly step: number; readonly steps: number; readonly loss: number }
  | {
      readonly type: 'receipt';
      readonly round: number;
      readonly accepted: boolean;
      readonly reason: string | null;
    }
  /** The privacy budget does not allow this training. */
  | {
      readonly type: 'budget-spent';
      readonly round: number;
      readonly epsilon: number;
      readonly target: number;
    }
  | { readonly type: 'evaluated'; readonly evaluation: string }
  /** Of rounds whose owners open the masks together; with two servers `mask` alone. */
  | {
      readonly type: 'secure-round';
      readonly step: 'advertise' | 'share' | 'mask' | 'confirm' | 'unmask' | 'leave';
      readonly round: number;
      /** Of the round, where it is not the first. */
      readonly attempt?: number;
      /** That take part in the step. */
      readonly owners?: number;
      /** Why we left. */
      readonly reason?: string;
    }
  | { readonly type: 'retry'; readonly reason: string; readonly inMs: number }
  | {
      readonly type: 'over';
      readonly status: 'finished' | 'failed' | 'cancelled';
      readonly reason: string | null;
    };
