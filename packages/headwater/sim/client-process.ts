/** A client of a simulated run: the product's client core over virtual parts, training the tiny model. */

import { digestBytes } from '../src/base/canonical.ts';
import { rng } from '../src/base/random.ts';
import { type Params, tensor } from '../src/base/tensor.ts';
import { runClient } from '../src/client/core.ts';
import type { ClientEvent, ClientParts, ClientStore, Trainer } from '../src/client/ports.ts';
import { decodeParams, encodeParams } from '../src/federation/params.ts';
import type { Transport } from '../src/federation/wire/transport.ts';
import type { KeptWatch } from './checkers/kept-watch.ts';
import { answerIn, type Life } from './life.ts';
import { randomBytes } from './random-bytes.ts';
import type { Misbehaviour, OwnerScenario } from './scenario.ts';
import { scoreTiny, tinyParams, tinyStats, trainTiny } from './tiny-model.ts';
import { clockOf, timersOf, type VirtualTime } from './virtual-time.ts';
import type { Weather } from './weather.ts';
import { signatureOf } from './works.ts';

/** Outlives the client's processes. */
export type ClientFolder = Map<string, Uint8Array>;

export interface ClientWorld {
  readonly time: VirtualTime;
  readonly seed: number;
  readonly owner: OwnerScenario;
  readonly folder: ClientFolder;
  readonly weather: Weather;
  readonly transport: Transport;
  readonly token: string;
  readonly onEvent: (event: ClientEvent) => void;
  readonly watch: KeptWatch;
  /** What this process trained last. */
  readonly latest: { update: Uint8Array | undefined };
  readonly onKey: (secret: Uint8Array) => void;
  /** Wraps the store: a planted fault. */
  readonly plant: ((store: ClientStore) => ClientStore) | undefined;
}

export function runVirtualClient(world: ClientWorld, life: Life): ReturnType<typeof runClient> {
  const { time, seed, owner, token, plant } = world;
  const store = folderStore(world, life);
  const random = rng(seed, 'client-entropy', owner.owner, life.incarnation);
  const parts: ClientParts = {
    transport: world.transport,
    store: noting(world, plant === undefined ? store : plant(store)),
    clock: clockOf(time, () => owner.clockOffsetMs),
    timers: timersOf(time, life),
    entropy: (bytes) => randomBytes(random, bytes),
    signer: async (saved) => {
      const secret = saved ?? randomBytes(random, 32);
      world.onKey(secret);
      return { signer: virtualSigner(secret), saved: secret };
    },
    verify: virtualVerify,
    openTrainer: async (_manifest, name) => tinyTrainer(world, name, life),
    policy: { accepts: () => [], mayLeave: () => true },
    onEvent: world.onEvent,
  };
  return runClient(parts, { token, software: 'simulation', signal: new AbortController().signal });
}

export function virtualSigner(secret: Uint8Array) {
  const publicKey = new Uint8Array(Buffer.from(digestBytes(secret), 'hex'));
  return { publicKey, sign: async (message: Uint8Array) => signatureOf(publicKey, message) };
}

export async function virtualVerify(key: Uint8Array, message: Uint8Array, signature: Uint8Array) {
  return Buffer.compare(signatureOf(key, message), signature) === 0;
}

/** Values are replaced whole or not at all, whenever the process ends. */
function folderStore({ time, folder, weather }: ClientWorld, life: Life): ClientStore {
  const act = (name: string, effect: () => void) => {
    weather.point('before', name, life);
    return answerIn(time, life, 1, () => {
      if (weather.disk.error('write', name) !== undefined)
        throw new Error(`virtual folder: no space for ${name}`);
      effect();
      weather.point('after', name, life);
    });
  };
  return {
    load: (key) => answerIn(time, life, 0.1, () => folder.get(key)?.slice()),
    save: (key, value) => {
      const copy = value.slice();
      return act(`save ${key}`, () => folder.set(key, copy));
    },
    remove: (key) => act(`remove ${key}`, () => folder.delete(key)),
  };
}

/** Tells the checkers behind which file what was trained is sent: a mask hides it from them too. */
function noting({ watch, owner, folder, latest }: ClientWorld, store: ClientStore): ClientStore {
  return {
    ...store,
    async save(key, value) {
      if (key === 'memory') {
        const { pending } = JSON.parse(Buffer.from(value).toString('utf8')) as SavedMemory;
        const trained = folder.get('secureupdate') ?? latest.update;
        if (pending?.masked !== undefined && trained !== undefined)
          watch.masked(owner.owner, trained, pending.update.digest);
      }
      await store.save(key, value);
    },
  };
}

interface SavedMemory {
  readonly pending: { readonly update: { readonly digest: string }; readonly masked?: object } | null;
}

function tinyTrainer({ time, seed, owner, watch, latest }: ClientWorld, name: string, life: Life): Trainer {
  const who = { seed, owner: name, numExamples: owner.numExamples };
  return {
    counts: { numExamples: owner.numExamples, numTokens: 10 * owner.numExamples, heldOut: owner.heldOut },
    maxParamsBytes: 100_000,
    async train(task, params, kept, signal, rest) {
      watch.training(name, task.round, kept);
      await answerIn(time, life, owner.trainMs, () => undefined);
      signal.throwIfAborted();
      const before = kept === undefined ? undefined : decodeParams(kept);
      const trained = trainTiny(who, task.round, joined(params, rest), before);
      const honest = encodeParams(trained.update);
      const bad = owner.misbehaves !== null && rng(seed, 'bad', name, task.round).uniform() < 0.7;
      const update =
        bad && owner.misbehaves !== 'liar'
          ? badUpdate(owner.misbehaves as Exclude<Misbehaviour, 'liar'>, honest)
          : honest;
      const next = encodeParams(trained.kept);
      watch.trained(name, { round: task.round, params: task.base, update, kept: next });
      latest.update = update;
      return { update, kept: next, stats: tinyStats(task.steps) };
    },
    async evaluate(task, params) {
      await answerIn(time, life, 10, () => undefined);
      const scores = scoreTiny(who, decodeParams(params));
      return { ...scores, numExamples: owner.heldOut[task.split] };
    },
    close: async () => {},
  };
}

function joined(params: Uint8Array, rest: Uint8Array | undefined): Params {
  return new Map([...decodeParams(params), ...(rest === undefined ? [] : decodeParams(rest))]);
}

function badUpdate(kind: Exclude<Misbehaviour, 'liar'>, honest: Uint8Array): Uint8Array {
  switch (kind) {
    case 'garbage':
      return honest.slice(0, honest.byteLength - 5);
    case 'nan':
      return patched(honest, Number.NaN);
    case 'norm':
      return encodeParams(tinyParams(() => 1e6));
    case 'shape':
      return encodeParams(new Map([...tinyParams(() => 0.5)].slice(1)));
    case 'other-tensor': {
      const extra = tensor('float32', [1], Float32Array.of(1));
      return encodeParams(new Map([...tinyParams(() => 0.5), ['layers.9.q_proj.lora_A', extra]]));
    }
  }
}

/** The last value of the last tensor replaced. */
function patched(bytes: Uint8Array, value: number): Uint8Array {
  const changed = bytes.slice();
  new DataView(changed.buffer).setFloat32(changed.byteLength - 4, value, true);
  return changed;
}
