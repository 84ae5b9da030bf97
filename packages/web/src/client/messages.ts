/** What the page asks of its worker and is told by it: plain values. Texts of the owner pass between the two and go nowhere else. */

import type { ShownPart } from '@headwater/client/look.ts';
import type { PolicyRules } from '@headwater/client/policy.ts';
import type { ClientEvent } from '@headwater/client/ports.ts';
import type { TokenizeReport } from '@headwater/data/tokenize.ts';
import type { Manifest } from '@headwater/federation/wire/messages.ts';
import type { Backend } from '../engine/backend.ts';

/** How a file is used: learnt from, or only measured on. */
export type FileUse = 'train' | 'validation' | 'test';

export interface OwnerFile {
  readonly id: string;
  readonly name: string;
  readonly bytes: number;
  readonly use: FileUse;
}

/** One invitation in this browser and what became of it. */
export interface Seat {
  readonly id: string;
  readonly createdMs: number;
  /** Address of the coordinator, without a slash at the end. */
  readonly url: string;
  /** Until it is redeemed. */
  readonly token: string | null;
  readonly run: string | null;
  readonly owner: string | null;
  /** `working`: started, also while no page is open. */
  readonly state: 'looking' | 'working' | 'paused' | 'over' | 'left';
  readonly policy: PolicyRules;
  /** The recipe’s column → the owner’s, or a template over the owner’s columns. */
  readonly mapping: Readonly<Record<string, string>>;
  readonly files: readonly OwnerFile[];
  readonly backend: Backend | null;
  readonly outcome: { readonly status: string; readonly reason: string | null } | null;
  readonly hasResult: boolean;
}

/** A run as its operator signed it. */
export interface SignedRun {
  readonly operator: string;
  readonly owner: string | null;
  readonly joined: boolean;
  readonly manifest: Manifest;
  readonly summary: RunInWords;
  /** Why the seat's policy refuses it; empty: it does not. */
  readonly reasons: readonly string[];
}

export interface RunInWords {
  readonly description: string | null;
  readonly method: string;
  readonly compression: string;
  readonly tuning: string;
  readonly rounds: number;
  readonly localSteps: number;
  readonly batchSize: number;
  readonly schema: string;
  readonly validationFraction: number;
  readonly testFraction: number;
  readonly weightBytes: number;
  /** How a tab holds them. */
  readonly weights: 'exact' | 'float16' | 'int8' | 'int4';
  /** All files of the model. */
  readonly modelBytes: number;
  /** Owners that the run begins with. */
  readonly minOwners: number;
  /** Null: the coordinator sees each update. */
  readonly masking: MaskingInWords | null;
}

/** Who can open what of masked updates. */
export interface MaskingInWords {
  readonly mode: string;
  /** Fewest updates in a sum that is opened. */
  readonly minSum: number;
  readonly isGrouped: boolean;
  readonly helper: { readonly url: string; readonly key: string } | null;
  /** Share of the owners that may work with the coordinator against another owner; two servers: null. */
  readonly adversaries: number | null;
}

export interface Rows {
  readonly file: string;
  readonly columns: readonly string[];
  readonly rows: readonly (readonly string[])[];
  /** Columns that the recipe reads. */
  readonly wanted: readonly string[];
}

export interface TabLook {
  readonly reasons: readonly string[];
  readonly examples: readonly { readonly where: string; readonly parts: readonly ShownPart[] }[];
  readonly tokenization: TokenizeReport;
  readonly split: { readonly train: number; readonly validation: number; readonly test: number };
  readonly ownNoise: string | null;
  readonly updateBytes: number;
  readonly metrics: { readonly told: readonly string[]; readonly kept: readonly string[] };
}

export interface Machine {
  readonly backends: readonly { readonly backend: Backend; readonly missing: string | null }[];
  readonly chosen: { readonly backend: Backend; readonly threads: number; readonly why: readonly string[] };
  readonly freeBytes: number | null;
}

export interface ChatTurn {
  readonly role: 'user' | 'assistant';
  readonly content: string;
}

export interface Commands {
  /** Seats of this browser, latest first. */
  seats(input: null): Promise<readonly Seat[]>;
  /** The seat of an invitation, made when it is new. */
  seatOf(input: { readonly url: string; readonly token: string }): Promise<Seat>;
  change(input: { readonly seat: string; readonly change: Partial<Seat> }): Promise<Seat>;
  machine(input: { readonly backend: Backend | null }): Promise<Machine>;
  look(input: { readonly seat: string }): Promise<SignedRun>;
  addFile(input: { readonly seat: string; readonly file: File; readonly use: FileUse }): Promise<Seat>;
  removeFile(input: { readonly seat: string; readonly file: string }): Promise<Seat>;
  rows(input: { readonly seat: string }): Promise<Rows>;
  preview(input: { readonly seat: string }): Promise<TabLook>;
  /** Takes part until the run is over, or the page ends the worker. */
  work(input: { readonly seat: string }): Promise<Seat>;
  /** Ends what `work` does; nothing is lost. */
  stop(input: null): Promise<void>;
  leave(input: { readonly seat: string }): Promise<Seat>;
  /** Removes everything about it from this browser. */
  forget(input: { readonly seat: string }): Promise<void>;
  /** Answers in a chat, or continues the last turn's text where the model knows no chats. */
  chat(input: {
    readonly seat: string;
    readonly turns: readonly ChatTurn[];
    readonly tuned: boolean;
  }): Promise<string>;
  stopChat(input: null): Promise<void>;
  /** Takes the run's log as it is now, whatever was seen before. */
  forgetLog(input: { readonly seat: string }): Promise<void>;
  /** The heads that contradict each other, both signed; null: none were met. */
  logEvidence(input: { readonly seat: string }): Promise<Blob | null>;
  adapter(input: { readonly seat: string }): Promise<{ readonly name: string; readonly zip: Blob }>;
}

export type TabEvent =
  | ClientEvent
  | {
      readonly type: 'model-file';
      readonly path: string;
      readonly doneBytes: number;
      readonly totalBytes: number;
    }
  | { readonly type: 'preparing'; readonly what: 'model' | 'data' | 'engine' }
  /** Everything is there for tasks to come. */
  | { readonly type: 'ready' }
  | { readonly type: 'backend'; readonly machine: Machine['chosen'] }
  | { readonly type: 'piece'; readonly text: string };

export type ToWorker = { readonly id: number; readonly name: keyof Commands; readonly input: unknown };
export type FromWorker =
  | { readonly id: number; readonly value: unknown }
  | { readonly id: number; readonly error: PlainError }
  | { readonly event: TabEvent };

export interface PlainError {
  readonly code: string | null;
  readonly message: string;
  readonly hint: string | null;
  readonly where: string | null;
}
