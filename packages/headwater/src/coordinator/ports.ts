/**
 * What a coordinator is built from and what it offers, without HTTP, files or models: the same code serves real clients
 * and the fault simulation. `handle` is the client API (the routes of `federation/wire`), `operator` the admin API.
 */

import type { Clock, Timers } from '../base/clock.ts';
import type { AggregateWork, PublishWork, RunEvent } from '../federation/events.ts';
import type { RunState } from '../federation/state.ts';
import type { Manifest, SignedManifest } from '../federation/wire/messages.ts';
import type { WireResponse } from '../federation/wire/transport.ts';
import type { Blobs } from '../storage/blobs.ts';
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
  /** Files of the base model that clients may fetch, by digest. */
  modelFile(digest: string): AsyncIterable<Uint8Array> | undefined;
  /** Initial params, stored as a blob, and their tensors. */
  init(): Promise<{ readonly params: string; readonly tensors: readonly TrainableTensor[] }>;
  aggregate(
    work: AggregateWork,
  ): Promise<Omit<Extract<RunEvent, { type: 'aggregated' }>, 'type' | 'round' | 'membership'>>;
  /** Writes the result where it belongs. */
  publish(work: PublishWork, state: RunState): Promise<void>;
  close(): Promise<void>;
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
  /** Name of this process among those over one store. */
  readonly node: string;
}

export interface Coordinator {
  /** Answers a client; never throws for what a client sent. */
  handle(request: IncomingRequest): Promise<WireResponse>;
  readonly operator: Operator;
  /** Takes no new requests, finishes those under way (at most so long), gives leases back. */
  close(drainMs: number): Promise<void>;
}

export interface RunSummary {
  readonly run: string;
  readonly status: 'waiting' | RunState['status'] | 'paused';
  readonly round: number;
  readonly rounds: number;
  readonly owners: number;
  readonly reason: string | null;
}

export interface TokenSummary {
  readonly id: string;
  readonly run: string;
  readonly owner: string | null;
  readonly usesLeft: number;
  readonly expiresMs: number;
}

export interface ClientSummary {
  readonly clientId: string;
  readonly run: string;
  readonly owner: string;
  readonly joinedMs: number;
  readonly lastSeenMs: number | null;
  readonly revoked: boolean;
  readonly standing: 'waiting' | 'active' | 'quarantined' | 'left';
  readonly offences: number;
  readonly software: string;
}

export interface Operator {
  createRun(run: string, recipe: unknown): Promise<void>;
  runs(): Promise<readonly RunSummary[]>;
  state(run: string): Promise<RunState | undefined>;
  events(
    run: string,
    afterSeq: number,
  ): Promise<readonly { readonly seq: number; readonly event: RunEvent }[]>;
  manifest(run: string): Promise<SignedManifest>;
  pause(run: string, reason: string): Promise<void>;
  resume(run: string): Promise<void>;
  /** After the open round. */
  stop(run: string, reason: string): Promise<void>;
  cancel(run: string, reason: string): Promise<void>;
  /** The secret is shown once and never stored. `owner` null: the client chooses from free names `client-N`. */
  createToken(token: {
    readonly run: string;
    readonly owner: string | null;
    readonly uses: number;
    readonly ttlMs: number;
  }): Promise<{ readonly id: string; readonly secret: string }>;
  tokens(run: string): Promise<readonly TokenSummary[]>;
  revokeToken(id: string): Promise<void>;
  clients(run: string): Promise<readonly ClientSummary[]>;
  revokeClient(clientId: string): Promise<void>;
  pardon(run: string, owner: string): Promise<void>;
}
