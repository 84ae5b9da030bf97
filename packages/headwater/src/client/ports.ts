/**
 * What a client is built from, without HTTP, files or models: the same code joins from a terminal, from a program, from a
 * browser's worker and in the fault simulation. The owner's data are behind `Trainer` and never seen here.
 */

import type { Clock, Timers } from '../base/clock.ts';
import type { OwnerScores, TrainingStats } from '../federation/events.ts';
import type { Enrolment, Manifest, WireTask } from '../federation/wire/messages.ts';
import type { Transport } from '../federation/wire/transport.ts';

export type TrainTask = Extract<WireTask, { kind: 'train' }>;
export type EvaluateTask = Extract<WireTask, { kind: 'evaluate' }>;

/** Trains and scores on the owner's examples: a pure function of the task, the params and what was kept. */
export interface Trainer {
  readonly counts: Omit<Enrolment, 'lostState'>;
  /** `kept`: what the accepted training before this one left with the owner; undefined: none. */
  train(
    task: TrainTask,
    params: Uint8Array,
    kept: Uint8Array | undefined,
    signal: AbortSignal,
  ): Promise<{
    readonly update: Uint8Array;
    readonly kept: Uint8Array | undefined;
    readonly stats: TrainingStats;
  }>;
  evaluate(
    task: EvaluateTask,
    params: Uint8Array,
    kept: Uint8Array | undefined,
    signal: AbortSignal,
  ): Promise<OwnerScores>;
  close(): Promise<void>;
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
  /** After the manifest was accepted by the policy. */
  readonly openTrainer: (manifest: Manifest, owner: string) => Promise<Trainer>;
  /** Says why not. */
  readonly accepts: (manifest: Manifest) => readonly string[];
  readonly onEvent: (event: ClientEvent) => void;
}

/** What a user is shown. */
export type ClientEvent =
  | { readonly type: 'joined'; readonly run: string; readonly owner: string }
  | { readonly type: 'waiting'; readonly round: number; readonly rounds: number }
  | { readonly type: 'task'; readonly task: WireTask }
  | { readonly type: 'step'; readonly step: number; readonly steps: number; readonly loss: number }
  | {
      readonly type: 'receipt';
      readonly round: number;
      readonly accepted: boolean;
      readonly reason: string | null;
    }
  | { readonly type: 'evaluated'; readonly evaluation: string }
  | { readonly type: 'retry'; readonly reason: string; readonly inMs: number }
  | {
      readonly type: 'over';
      readonly status: 'finished' | 'failed' | 'cancelled';
      readonly reason: string | null;
    };
