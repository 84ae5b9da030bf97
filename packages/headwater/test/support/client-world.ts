/**
 * Test helper: a real coordinator in memory, and clients that reach it through a network with faults on request. The model
 * is the tiny one of the fault simulation; time and keys are real.
 */

import { zstdDecompressSync } from 'node:zlib';
import { initialTinyParams, scoreTiny, tinyStats, trainTiny } from '../../sim/tiny-model.ts';
import { type TinyRecipe, tinyWorks } from '../../sim/works.ts';
import { systemClock, systemTimers } from '../../src/base/clock.ts';
import { ed25519FromSeed } from '../../src/base/ed25519-node.ts';
import { runClient } from '../../src/client/core.ts';
import type { ClientEvent, ClientParts, ClientStore, Trainer } from '../../src/client/ports.ts';
import { webcryptoEntropy, webcryptoSigner, webcryptoVerify } from '../../src/client/webcrypto.ts';
import { createCoordinator } from '../../src/coordinator/core.ts';
import type { Coordinator, CoordinatorParts, RunWorks } from '../../src/coordinator/ports.ts';
import { decodeParams, encodeParams } from '../../src/federation/params.ts';
import type { Transport, WireRequest, WireResponse } from '../../src/federation/wire/transport.ts';
import { memoryStore } from '../../src/storage/memory.ts';
import { memoryBlobs } from '../../src/storage/memory-blobs.ts';
import { verifyHere } from './verify-here.ts';

export const RUN = 'demo';

export const tinyRecipe: TinyRecipe = {
  seed: 5,
  rounds: 3,
  localSteps: 2,
  cohortSize: null,
  quorum: null,
  minOwners: 2,
  serverLearningRate: 1,
  evaluated: true,
  pace: { belowQuorum: 'extend', evaluatedBy: 'owners' },
};

export interface World {
  readonly coordinator: Coordinator;
  /** Digests of what was published. */
  readonly published: string[];
  /** Aborted when the world ends: no client outlives its test. */
  readonly end: AbortSignal;
  token(owner: string | null): Promise<string>;
  close(): Promise<void>;
}

export async function startWorld(
  recipe: Partial<TinyRecipe> = {},
  change: (works: RunWorks) => RunWorks = (works) => works,
  more: Pick<CoordinatorParts, 'askHelper'> = {},
): Promise<World> {
  const blobs = memoryBlobs();
  const published: string[] = [];
  const whole = { ...tinyRecipe, ...recipe };
  const coordinator = await createCoordinator({
    store: memoryStore(),
    blobs,
    clock: systemClock,
    timers: systemTimers,
    entropy: webcryptoEntropy,
    openWorks: async () => change(tinyWorks(whole, blobs, (params) => published.push(params))),
    log: { info: () => undefined, warn: () => undefined },
    node: 'one',
    exclusive: true,
    signatures: { verify: verifyHere, signer: ed25519FromSeed },
    limits: { requestsPerSecond: 1e6, requestBurst: 1e6, failedJoinBurst: 1000 },
    ...more,
  });
  await coordinator.operator.createRun(RUN, { ...whole });
  const end = new AbortController();
  return {
    coordinator,
    published,
    end: end.signal,
    async token(owner) {
      return (await coordinator.operator.createToken({ run: RUN, owner, uses: 1, ttlMs: 60_000 })).text;
    },
    close() {
      end.abort();
      return coordinator.close(1000);
    },
  };
}

/** What happens to a request: `before` it arrives, or `after` it was carried out. Throwing loses it. */
export interface Network {
  readonly before?: (request: WireRequest, route: string) => void;
  readonly after?: (response: WireResponse, request: WireRequest, route: string) => WireResponse | undefined;
}

/** `POST updates`, `GET task`, `PUT chunks`, `GET blobs` …: enough to name a route in a test. */
export function routeOf({ method, path }: WireRequest): string {
  const [, , first, , third] = path.split('?', 1)[0]!.split('/');
  const name = path.includes('/chunks/') ? 'chunks' : first === 'runs' ? third : first;
  return `${method} ${name}`;
}

export function transportTo({ coordinator }: Pick<World, 'coordinator'>, network: Network = {}): Transport {
  return async (request, signal = new AbortController().signal) => {
    signal.throwIfAborted();
    const route = routeOf(request);
    network.before?.(request, route);
    const response = await coordinator.handle({
      method: request.method,
      path: request.path,
      headers: withLength(request),
      body: pieces(decoded(request)),
      remoteAddress: '127.0.0.1',
      signal,
    });
    return network.after?.(response, request, route) ?? response;
  };
}

/** The coordinator's HTTP server does this before it asks the coordinator. */
function decoded({ headers, body = new Uint8Array() }: WireRequest): Uint8Array {
  return headers['content-encoding'] === 'zstd' ? zstdDecompressSync(body) : body;
}

function withLength({ headers, body }: WireRequest): Record<string, string> {
  return { ...headers, 'content-length': String(body?.byteLength ?? 0) };
}

export async function* pieces(bytes: Uint8Array, size = 64 * 1024): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.byteLength; at += size) yield bytes.subarray(at, at + size);
}

export type ClientFolder = Map<string, Uint8Array>;

/** `onSave` may throw: the process dies before or after the value is there. */
export function mapStore(
  folder: ClientFolder,
  onSave: (when: 'before' | 'after', key: string) => void = () => undefined,
): ClientStore {
  return {
    load: async (key) => folder.get(key)?.slice(),
    async save(key, value) {
      onSave('before', key);
      folder.set(key, value.slice());
      onSave('after', key);
    },
    async remove(key) {
      onSave('before', key);
      folder.delete(key);
      onSave('after', key);
    },
  };
}

export interface TinyClient {
  readonly owner: string;
  readonly folder?: ClientFolder;
  readonly token?: string;
  readonly network?: Network;
  readonly signal?: AbortSignal;
  readonly onEvent?: (event: ClientEvent) => void;
  /** Rounds in which it trained, as often as it did. */
  readonly trained?: number[];
  readonly change?: (parts: ClientParts) => Partial<ClientParts>;
}

export function tinyClient(
  world: Pick<World, 'coordinator' | 'end'>,
  client: TinyClient,
): ReturnType<typeof runClient> {
  const { folder = new Map(), network = {}, token, onEvent = () => undefined } = client;
  const parts: ClientParts = {
    transport: transportTo(world, network),
    store: mapStore(folder),
    clock: systemClock,
    // Waits are cut short: what is tested is what happens, not when.
    timers: { after: (ms, fire) => systemTimers.after(Math.min(ms, 5), fire) },
    entropy: webcryptoEntropy,
    signer: webcryptoSigner,
    verify: webcryptoVerify,
    openTrainer: async (_, owner) => tinyTrainer(owner, client.trained ?? []),
    policy: { accepts: () => [], mayLeave: () => true },
    onEvent,
  };
  const signal = AbortSignal.any([world.end, ...(client.signal === undefined ? [] : [client.signal])]);
  const whole = { ...parts, ...client.change?.(parts) };
  return runClient(whole, { token, software: 'test', signal });
}

export function tinyTrainer(owner: string, trained: number[] = []): Trainer {
  const who = { seed: tinyRecipe.seed, owner, numExamples: 10 };
  return {
    counts: { numExamples: 10, numTokens: 100, heldOut: { validation: 2, test: 2 } },
    maxParamsBytes: encodeParams(initialTinyParams(1)).byteLength,
    async train(task, params, kept) {
      trained.push(task.round);
      const before = kept === undefined ? undefined : decodeParams(kept);
      const result = trainTiny(who, task.round, decodeParams(params), before);
      return {
        update: encodeParams(result.update),
        kept: encodeParams(result.kept),
        stats: tinyStats(task.steps),
      };
    },
    evaluate: async (_, params) => scoreTiny(who, decodeParams(params)),
    close: async () => undefined,
  };
}

/** Runs `ann` as given and `ben` without faults to the end; gives what was published. */
export async function runBoth(here: World, ann: Omit<TinyClient, 'owner'> = {}): Promise<string> {
  const ben = tinyClient(here, { owner: 'ben', token: await here.token('ben') });
  const token = ann.token ?? (await here.token('ann'));
  const outcomes = await Promise.all([tinyClient(here, { owner: 'ann', token, ...ann }), ben]);
  const ends = outcomes.map(({ owner, status }) => `${owner} ${status}`).join(', ');
  if (ends !== 'ann finished, ben finished') throw new Error(`the run did not end well: ${ends}`);
  return here.published.at(-1)!;
}

/** What a world ends with when nothing goes wrong. */
export async function undisturbedResult(): Promise<string> {
  const here = await startWorld();
  try {
    return await runBoth(here);
  } finally {
    await here.close();
  }
}

/** Bodies that a network may deliver instead of the right one. */
export async function* cut(body: AsyncIterable<Uint8Array>, bytes: number): AsyncGenerator<Uint8Array> {
  for await (const piece of body) {
    yield piece.subarray(0, bytes);
    throw new Error('reset');
  }
}

export async function* flipped(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const piece of body) yield piece.map((byte, i) => (i === 200 ? byte ^ 1 : byte));
}

export async function* replaced(
  body: AsyncIterable<Uint8Array>,
  pattern: RegExp,
  instead: string,
): AsyncGenerator<Uint8Array> {
  let text = '';
  for await (const piece of body) text += new TextDecoder().decode(piece);
  yield* bytesOf(text.replace(pattern, instead));
}

export async function* bytesOf(text: string): AsyncGenerator<Uint8Array> {
  yield new TextEncoder().encode(text);
}
