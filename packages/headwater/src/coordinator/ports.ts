/**
 * What a coordinator is built from and what it offers, without HTTP, files or models: the same code serves real clients
 * and the fault simulation. `handle` is the client API (the routes of `federation/wire`), `operator` the admin API.
 */

import type { Clock, Timers } from '../base/clock.ts';
import type {
  AggregateWork,
  PublishWork,
  RejectionCode,
  RunEvent,
  UpdateCheck,
} from '../federation/events.ts';
import type { SignedHead } from '../federation/log/head.ts';
import type { Step } from '../federation/machine.ts';
import type { OwnerCounts, RunPlan } from '../federation/plan.ts';
import type { RunState } from '../federation/state.ts';
import type { UnmaskRequest } from '../federation/wire/helper.ts';
import type { Manifest, SignedManifest } from '../federation/wire/messages.ts';
import type { RouteId } from '../federation/wire/routes.ts';
import type { Signer } from '../federation/wire/signing.ts';
import type { WireResponse } from '../federation/wire/transport.ts';
import type { UnmaskOrder } from '../jobs/masking.ts';
import type { NoiseOrder } from '../jobs/release.ts';
import type { ClientSummary, RunSummary, TokenSummary } from '../runs/view/summaries.ts';
import type { Blobs, ByteRange } from '../storage/blobs.ts';
import type { Store } from '../storage/store.ts';
import type { TrainableTensor } from '../tuning/kind.ts';

/** A request as it arrives; the body has not been read. */
export interface IncomingRequest {
  readonly method: string;
  /** With query. */
  readonly path: string;
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly body: AsyncIterable<Uint8Array>;
  /** For limits on failed joins only. */
  readonly remoteAddress: string;
  /** Aborted when the sender hung up. */
  readonly signal: AbortSignal;
}

/** The heavy, pure work of one run; done again after a crash it gives the same blobs. */
export interface RunWorks {
  /** What clients are told. */
  readonly manifest: Omit<Manifest, 'protocol' | 'run'>;
  /** Owners that must have enrolled before the plan is made. */
  readonly minOwners: number;
  /** Files of the base model that clients may fetch, by digest. */
  modelFile(digest: string, range?: ByteRange): AsyncIterable<Uint8Array> | undefined;
  /** Initial params, stored as a blob, and their tensors. */
  init(): Promise<InitialParams>;
  /** Throws RECIPE_INVALID, AGGREGATION_OVERFLOW. */
  plan(
    initial: InitialParams,
    owners: readonly OwnerCounts[],
  ): Promise<{ readonly plan: RunPlan; readonly provenance: unknown }>;
  /** Bytes of an update as its tensors demand; a little more is taken. */
  updateBytes(plan: RunPlan, round: number, owner: string): number;
  /**
   * What an owner is sent of a round's params, and what it has without being sent it. Undefined: it is sent the params as they
   * are, which is so for all where the works cannot cut.
   */
  down?(plan: RunPlan, asked: DownAsked): Promise<Down | undefined>;
  /** Bytes of what is sent; absent: of the params. */
  downBytes?(plan: RunPlan, round: number, owner: string): number;
  /** Of a round's masked vectors; absent: updates of these works are never masked. */
  maskFacts?(plan: RunPlan, round: number): MaskFacts;
  /** Looks at an update's bytes, piece by piece. */
  check(
    plan: RunPlan,
    update: { readonly round: number; readonly owner: string; readonly bytes: number },
    source: AsyncIterable<Uint8Array>,
  ): Promise<UpdateCheck>;
  aggregate(
    work: AggregateWork,
    plan: RunPlan,
    /** Of the round, in runs with privacy; the result follows from it. */
    noise?: NoiseOrder,
    /** Of the round, in runs that mask. */
    unmask?: UnmaskOrder,
  ): Promise<Omit<Extract<RunEvent, { type: 'aggregated' }>, 'type' | 'round' | 'membership'>>;
  /** Writes the result where it belongs. */
  publish(work: PublishWork, state: RunState): Promise<void>;
  /** The run is over, one way or another: figures and reports, made from the events alone. May be called again. */
  report(events: readonly RunEvent[]): Promise<void>;
  close(): Promise<void>;
}

export interface MaskFacts {
  readonly words: number;
  /** Digest of what they mean. */
  readonly layout: string;
}

export interface DownAsked {
  readonly round: number;
  readonly owner: string;
  /** Digest of the global params. */
  readonly params: string;
}

export interface Down {
  readonly sent: DownPiece;
  /** Null: nothing. */
  readonly rest: DownPiece | null;
}

/** Made when it is read. */
export interface DownPiece {
  readonly digest: string;
  readonly bytes: number;
  file(): Promise<Uint8Array>;
}

export interface InitialParams {
  readonly params: string;
  readonly tensors: readonly TrainableTensor[];
}

/** Lines for machines: an event name and flat fields. Secrets never go in. */
export interface Log {
  info(event: string, fields?: Readonly<Record<string, unknown>>): void;
  warn(event: string, fields?: Readonly<Record<string, unknown>>): void;
}

export interface CoordinatorParts {
  readonly store: Store;
  readonly blobs: Blobs;
  readonly clock: Clock;
  readonly timers: Timers;
  /** From a CSPRNG: tokens, keys, nonces. */
  readonly entropy: (bytes: number) => Uint8Array;
  /** Opens the works of a run from its stored recipe. */
  readonly openWorks: (run: string, recipe: unknown) => Promise<RunWorks>;
  readonly log: Log;
  /**
   * Name of this process among those over one store; where there are several, with what `forward` needs to reach it.
   * A process that nobody else can be at the same time keeps its name over restarts: it need not wait for its own leases.
   */
  readonly node: string;
  /** Nobody else can have this store open: leftovers of a crash may be swept at the start. */
  readonly exclusive: boolean;
  readonly signatures: Signatures;
  /** Hands a request to the process that leads its run; absent: the client is told to come again. */
  readonly forward?: (node: string, request: IncomingRequest) => Promise<WireResponse>;
  /** Asks the helper at the address to open a sum of masks; absent: runs that need one are refused. */
  readonly askHelper?: (url: string, request: UnmaskRequest) => Promise<HelperResponse>;
  readonly observe?: (fact: CoordinatorFact) => void;
  /** Default: the round machine. The fault simulation plants faults here. */
  readonly machine?: Machine;
  readonly limits?: Partial<CoordinatorLimits>;
}

export interface HelperResponse {
  readonly status: number;
  /** What the groups of the sums were drawn by. */
  readonly draw?: string | undefined;
  readonly body: AsyncIterable<Uint8Array>;
}

/** Ed25519. */
export interface Signatures {
  verify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): Promise<boolean>;
  /** From 32 secret bytes. */
  signer(seed: Uint8Array): Signer;
}

export interface Machine {
  start(plan: RunPlan): Step;
  step(state: RunState, event: RunEvent): Step;
}

export interface CoordinatorLimits {
  readonly leaseMs: number;
  /** A snapshot after so many events, and not before as many as there are owners. */
  readonly snapshotEvents: number;
  /** Of one client: requests a second on average, and how many at once. */
  readonly requestsPerSecond: number;
  readonly requestBurst: number;
  /** Failed joins of one address: a minute on average, and how many at once. */
  readonly failedJoinsPerMinute: number;
  readonly failedJoinBurst: number;
}

/** What metrics and progress displays are made from. */
export type CoordinatorFact =
  | {
      readonly type: 'request';
      readonly route: RouteId | 'none';
      readonly status: number;
      readonly tookMs: number;
    }
  | { readonly type: 'append'; readonly run: string; readonly events: number; readonly tookMs: number }
  /** The event is in the journal. `state` is the one after it. */
  | {
      readonly type: 'event';
      readonly run: string;
      readonly seq: number;
      readonly event: RunEvent;
      readonly state: RunState;
    }
  | { readonly type: 'uploaded'; readonly run: string; readonly bytes: number }
  /** `code` null: it counts, or counted already. */
  | { readonly type: 'receipt'; readonly run: string; readonly code: RejectionCode | null }
  | { readonly type: 'enrolled'; readonly run: string; readonly owner: string; readonly owners: number }
  /** The run has ended and its reports are written. */
  | {
      readonly type: 'over';
      readonly run: string;
      readonly status: RunState['status'];
      readonly reason: string | null;
    }
  /** This process leads the run (again), or does not any more. */
  | { readonly type: 'leading'; readonly run: string; readonly leads: boolean };

export interface Coordinator {
  /** Answers a client; never throws for what a client sent. */
  handle(request: IncomingRequest): Promise<WireResponse>;
  readonly operator: Operator;
  /** Takes no new requests, finishes those under way (at most so long), gives leases back. */
  close(drainMs: number): Promise<void>;
}

export type { ClientSummary, RunSummary, TokenSummary };

export interface LogPage {
  /** Of the whole log. */
  readonly head: SignedHead;
  readonly entries: readonly { readonly seq: number; readonly text: string }[];
}

export interface Operator {
  /** Fine when the run is there with this very recipe. Throws RUN_EXISTS, OPTION_INVALID and what opening the works throws. */
  createRun(run: string, recipe: unknown): Promise<void>;
  runs(): Promise<readonly RunSummary[]>;
  /** Throws RUN_NOT_FOUND. */
  summary(run: string): Promise<RunSummary>;
  /** As resolved. Throws RUN_NOT_FOUND. */
  recipe(run: string): Promise<unknown>;
  state(run: string): Promise<RunState | undefined>;
  events(
    run: string,
    afterSeq: number,
    limit?: number,
  ): Promise<readonly { readonly seq: number; readonly event: RunEvent }[]>;
  manifest(run: string): Promise<SignedManifest>;
  /** Entries of the transparency log after `afterSeq`, as they were hashed, and its signed head. Throws RUN_NOT_FOUND. */
  log(run: string, afterSeq: number, limit: number): Promise<LogPage>;
  pause(run: string, reason: string): Promise<void>;
  resume(run: string): Promise<void>;
  /** After the open round. */
  stop(run: string, reason: string): Promise<void>;
  cancel(run: string, reason: string): Promise<void>;
  /** Public key whose signature is on the manifests. */
  readonly operatorKey: Uint8Array;
  /** `text` (with the secret in it) is shown once and never stored. `owner` null: a free name `client-N` is given. */
  createToken(token: {
    readonly run: string;
    readonly owner: string | null;
    readonly uses: number;
    readonly ttlMs: number;
  }): Promise<{ readonly id: string; readonly text: string }>;
  tokens(run: string): Promise<readonly TokenSummary[]>;
  revokeToken(id: string): Promise<void>;
  clients(run: string): Promise<readonly ClientSummary[]>;
  revokeClient(clientId: string): Promise<void>;
  pardon(run: string, owner: string): Promise<void>;
}
