/**
 * A coordinator over storage in memory with a tiny model, and clients that speak the protocol by hand: every request can be
 * bent before it is sent.
 */

import { tinyStats, trainTiny } from '../../sim/tiny-model.ts';
import { TINY_BASE_MODEL, type TinyRecipe, tinyWorks } from '../../sim/works.ts';
import { toBase64url } from '../../src/base/base64url.ts';
import { digestBytes } from '../../src/base/canonical.ts';
import { ed25519FromSeed } from '../../src/base/ed25519-node.ts';
import { createCoordinator } from '../../src/coordinator/core.ts';
import type {
  Coordinator,
  CoordinatorFact,
  CoordinatorParts,
  IncomingRequest,
} from '../../src/coordinator/ports.ts';
import { decodeParams, encodeParams } from '../../src/federation/params.ts';
import { parseJoinToken } from '../../src/federation/wire/join-token.ts';
import type { TaskResponse, WireTask } from '../../src/federation/wire/messages.ts';
import { bodyDigestOf, type Signer, signRequest } from '../../src/federation/wire/signing.ts';
import type { Blobs } from '../../src/storage/blobs.ts';
import { memoryStore } from '../../src/storage/memory.ts';
import { memoryBlobs } from '../../src/storage/memory-blobs.ts';
import type { Store } from '../../src/storage/store.ts';
import { type FakeTime, fakeTime, settled } from './fake-time.ts';
import { verifyHere } from './verify-here.ts';

export const RUN = 'demo';

export const tinyRecipe: TinyRecipe = {
  seed: 5,
  rounds: 2,
  localSteps: 1,
  cohortSize: null,
  quorum: null,
  minOwners: 2,
  serverLearningRate: 1,
  evaluated: false,
  pace: { evaluatedBy: 'owners', belowQuorum: 'extend', deadlineMs: 60_000, quarantineAfter: 2 },
};

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly bytes: Uint8Array;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
  readonly json: any;
}

export interface World {
  readonly time: FakeTime;
  readonly store: Store;
  readonly blobs: Blobs;
  readonly published: string[];
  readonly facts: CoordinatorFact[];
  readonly logged: string[];
  coordinator: Coordinator;
  /** As after a crash: the old one is not closed. */
  restart(change?: Partial<CoordinatorParts>): Promise<void>;
  /** Another process beside those that are there; clients talk to it from now on. */
  start(change: Partial<CoordinatorParts>): Promise<void>;
  send(request: Partial<IncomingRequest> & Pick<IncomingRequest, 'method' | 'path'>): Promise<Answer>;
  token(owner: string | null, uses?: number, ttlMs?: number): Promise<string>;
  /** Joined and enrolled. */
  client(owner: string): Promise<TestClient>;
}

export async function createWorld(
  recipe: Partial<TinyRecipe> = {},
  parts: Partial<CoordinatorParts> = {},
): Promise<World> {
  const time = fakeTime();
  const store = parts.store ?? memoryStore({ clock: time.clock });
  const blobs = parts.blobs ?? memoryBlobs({ clock: time.clock });
  const published: string[] = [];
  const facts: CoordinatorFact[] = [];
  const logged: string[] = [];
  let random = 0;
  const log = (event: string, fields?: unknown) => void logged.push(`${event} ${JSON.stringify(fields)}`);
  const all: CoordinatorParts = {
    store,
    blobs,
    clock: time.clock,
    timers: time.timers,
    entropy: (bytes) =>
      Uint8Array.from({ length: bytes }, (_, i) => (i < 4 ? (++random * (i + 1)) % 251 : i)),
    openWorks: async (_, given) => tinyWorks(given as TinyRecipe, blobs, (params) => published.push(params)),
    log: { info: log, warn: log },
    node: 'test',
    exclusive: true,
    signatures: { verify: verifyHere, signer: ed25519FromSeed },
    observe: (fact) => facts.push(fact),
    ...parts,
  };
  const world: World = {
    time,
    store,
    blobs,
    published,
    facts,
    logged,
    coordinator: await createCoordinator(all),
    async restart(change = {}) {
      time.dropTimers();
      await time.advance(1);
      world.coordinator = await createCoordinator({ ...all, ...change });
    },
    async start(change) {
      world.coordinator = await createCoordinator({ ...all, ...change });
    },
    async send(request) {
      const answer = await world.coordinator.handle(incoming(request));
      const pieces: Uint8Array[] = [];
      for await (const piece of answer.body) pieces.push(piece);
      const bytes = new Uint8Array(Buffer.concat(pieces));
      const isJson = answer.headers['content-type'] === 'application/json';
      const { status, headers } = answer;
      return { status, headers, bytes, json: isJson ? JSON.parse(Buffer.from(bytes).toString()) : undefined };
    },
    async token(owner, uses = 1, ttlMs = 3_600_000) {
      const { text } = await world.coordinator.operator.createToken({ run: RUN, owner, uses, ttlMs });
      return text;
    },
    async client(owner) {
      const client = createClient(world, owner);
      await client.join(await world.token(owner));
      await client.enrol();
      return client;
    },
  };
  await world.coordinator.operator.createRun(RUN, { ...tinyRecipe, ...recipe });
  return world;
}

function incoming(
  request: Partial<IncomingRequest> & Pick<IncomingRequest, 'method' | 'path'>,
): IncomingRequest {
  return {
    headers: {},
    body: bodyOf(new Uint8Array()),
    remoteAddress: '192.0.2.1',
    signal: new AbortController().signal,
    ...request,
  };
}

export async function* bodyOf(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  if (bytes.byteLength > 0) yield bytes;
}

export interface SendOptions {
  readonly body?: unknown;
  readonly bytes?: Uint8Array;
  /** Instead of the digest of the body. */
  readonly digest?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly createdMs?: number;
  readonly nonce?: string;
  /** After signing. */
  readonly bend?: (request: IncomingRequest) => Partial<IncomingRequest>;
  readonly signal?: AbortSignal;
}

export interface TestClient {
  readonly owner: string;
  readonly signer: Signer;
  call(method: 'GET' | 'POST' | 'PUT', path: string, options?: SendOptions): Promise<Answer>;
  join(token: string): Promise<Answer>;
  enrol(numExamples?: number): Promise<Answer>;
  task(wait?: number): Promise<TaskResponse>;
  /** Trains and uploads, hands in, gives the receipt. */
  train(task: WireTask, change?: (update: Uint8Array) => Uint8Array): Promise<Answer>;
  upload(task: WireTask, update: Uint8Array): Promise<string>;
  submit(task: WireTask, digest: string, bytes: number, change?: object): Promise<Answer>;
}

let clients = 0;

export function createClient(world: Pick<World, 'send' | 'time'>, owner: string, run = RUN): TestClient {
  const seed = new Uint8Array(32).fill(1);
  new DataView(seed.buffer).setUint32(0, ++clients);
  const signer = ed25519FromSeed(seed);
  const inRun = `/v1/runs/${run}`;
  let nonces = 0;
  async function once(method: 'GET' | 'POST' | 'PUT', path: string, options: SendOptions): Promise<Answer> {
    const json = options.body === undefined ? new Uint8Array() : Buffer.from(JSON.stringify(options.body));
    const bytes = options.bytes ?? new Uint8Array(json);
    const bodyDigest = method === 'GET' ? undefined : (options.digest ?? bodyDigestOf(bytes));
    const nonce = options.nonce ?? toBase64url(digest32(`${owner} ${clients} ${nonces++}`).subarray(0, 16));
    const createdMs = options.createdMs ?? world.time.clock.nowMs();
    const signed = await signRequest(signer, { method, path, bodyDigest, createdMs, nonce });
    const request = incoming({
      method,
      path,
      headers: { ...signed, ...options.headers },
      body: bodyOf(bytes),
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    });
    return world.send({ ...request, ...options.bend?.(request) });
  }
  const client: TestClient = {
    owner,
    signer,
    async call(method, path, options = {}) {
      const answer = await once(method, path, options);
      const late = answer.json?.error?.code === 'clock-skew' && options.createdMs === undefined;
      return late ? once(method, path, options) : answer;
    },
    join(token) {
      const { secret } = parseJoinToken(token);
      const body = { token: secret, publicKey: toBase64url(signer.publicKey), software: 'test' };
      return client.call('POST', '/v1/join', { body });
    },
    enrol(numExamples = 10) {
      const heldOut = { validation: 0, test: 0 };
      const body = { numExamples, numTokens: 10 * numExamples, heldOut, lostState: false };
      return client.call('POST', `${inRun}/enrolment`, { body });
    },
    async task(wait = 0) {
      return (await client.call('GET', `${inRun}/task?wait=${wait}`)).json;
    },
    async train(task, change = (update) => update) {
      if (task.kind !== 'train') throw new Error('no training task');
      const { bytes } = await client.call('GET', `${inRun}/blobs/${task.params.digest}`);
      const who = { seed: tinyRecipe.seed, owner, numExamples: 10 };
      const { update } = trainTiny(who, task.round, decodeParams(bytes), undefined);
      const encoded = change(encodeParams(update));
      const digest = await client.upload(task, encoded);
      return client.submit(task, digest, encoded.byteLength);
    },
    async upload(task, update) {
      const digest = digestBytes(update);
      const body = { digest, bytes: update.byteLength, taskId: task.id };
      const opened = await client.call('POST', `${inRun}/uploads`, { body });
      if (opened.status !== 200) throw new Error(`upload not opened: ${JSON.stringify(opened.json)}`);
      const path = `${inRun}/uploads/${digest}/chunks/0`;
      const sent = opened.json.have.includes(0) ? opened : await client.call('PUT', path, { bytes: update });
      // A coordinator that restarted has forgotten who uploads what.
      return sent.status === 404 ? client.upload(task, update) : digest;
    },
    submit(task, digest, bytes, change = {}) {
      if (task.kind !== 'train') throw new Error('no training task');
      const body = {
        round: task.round,
        base: task.params.digest,
        baseModel: TINY_BASE_MODEL,
        update: { digest, bytes },
        stats: tinyStats(task.steps),
        ...change,
      };
      return client.call('POST', `${inRun}/updates`, { body });
    },
  };
  return client;
}

function digest32(text: string): Uint8Array {
  return Buffer.from(digestBytes(Buffer.from(text)), 'hex');
}

/** Plays all rounds with these clients, one after the other. */
export async function playToTheEnd(world: World, players: readonly TestClient[]): Promise<void> {
  for (let i = 0; i < 100; i++) {
    let over = 0;
    for (const player of players) {
      const { task, status } = await player.task();
      if (task !== null) await player.train(task);
      if (status === 'finished') over++;
    }
    if (over === players.length) return;
    await world.time.advance(1);
  }
  throw new Error('the run does not end');
}

/** With `ann` and `ben`, in its first round. */
export async function begunWorld(
  recipe: Partial<TinyRecipe> = {},
): Promise<World & { readonly ann: TestClient; readonly ben: TestClient }> {
  const world = await createWorld(recipe);
  const ann = await world.client('ann');
  const ben = await world.client('ben');
  await settled();
  return Object.assign(world, { ann, ben });
}
