import { describe, expect, it } from 'vitest';
import { TINY_TENSORS } from '../../../sim/tiny-model.ts';
import { type TinyRecipe, tinyWorks } from '../../../sim/works.ts';
import {
  type ClientFolder,
  type TinyClient,
  tinyClient,
  tinyTrainer,
  transportTo,
} from '../../../test/support/client-world.ts';
import { verifyHere } from '../../../test/support/verify-here.ts';
import { systemClock, systemTimers, type Timers } from '../../base/clock.ts';
import { ed25519FromSeed } from '../../base/ed25519-node.ts';
import type { Params } from '../../base/tensor.ts';
import type { ClientEvent, Trainer } from '../../client/ports.ts';
import { webcryptoEntropy } from '../../client/webcrypto.ts';
import type { RunEvent } from '../../federation/events.ts';
import { addUpdate, emptySum, takeMean } from '../../federation/fixed-point.ts';
import { addMaskedStream } from '../../federation/masking/masked-sum.ts';
import { maskedLayout, unmaskedFile } from '../../federation/masking/masked-vector.ts';
import { planRing } from '../../federation/masking/ring.ts';
import { decodeParams } from '../../federation/params.ts';
import type { SecureTold } from '../../federation/wire/secure-rounds.ts';
import { removeMasks } from '../../privacy/secure-aggregation/mask-stream.ts';
import { addWords } from '../../privacy/secure-aggregation/words.ts';
import { secureAggregationOf } from '../../runs/secure-aggregation.ts';
import { memoryStore } from '../../storage/memory.ts';
import { memoryBlobs } from '../../storage/memory-blobs.ts';
import type { Store } from '../../storage/store.ts';
import { createCoordinator } from '../core.ts';
import type { Coordinator, RunWorks } from '../ports.ts';

const RUN = 'demo';
const OWNERS = ['ann', 'ben', 'cid', 'dan', 'eve'];
type SecureStep = Extract<ClientEvent, { type: 'secure-round' }>['step'];

const recipe: TinyRecipe = {
  ...{ seed: 5, rounds: 1, localSteps: 2, cohortSize: 5, quorum: 3, minOwners: 5, serverLearningRate: 1 },
  ...{ evaluated: false, pace: { belowQuorum: 'extend', evaluatedBy: 'owners', deadlineMs: 1_500 } },
  secureAggregation: { mode: 'secagg-plus', assumed: { adversaries: 0.1, dropouts: 0.2 }, stepMs: 1_000 },
};

/** Nobody waits long for what it missed. */
const hasty: Timers = { after: (ms, fire) => systemTimers.after(Math.min(ms, 1_500), fire) };

interface World {
  readonly coordinator: Coordinator;
  readonly published: string[];
  readonly end: AbortSignal;
  /** What each attempt asked its owners to open. */
  readonly opened: Map<number, Set<string>>;
  /** Update by owner and round, as it was trained. */
  readonly truth: Map<string, Params>;
  events(): Promise<readonly RunEvent[]>;
  join(owner: string, client?: Partial<TinyClient>): Promise<unknown>;
  params(digest: string): Promise<Params>;
  file(digest: string): Promise<Uint8Array>;
  close(): Promise<void>;
}

/** `dieAfter`: the coordinator is lost right after the first write that it says yes to, and another one takes over. */
async function startWorld(
  change: Partial<TinyRecipe> = {},
  dieAfter: (what: string) => boolean = () => false,
  onAggregate: (...asked: Parameters<RunWorks['aggregate']>) => Promise<void> = async () => undefined,
): Promise<World> {
  const [store, blobs] = [memoryStore(), memoryBlobs()];
  const published: string[] = [];
  const [opened, truth] = [new Map<number, Set<string>>(), new Map<string, Params>()];
  const whole = { ...recipe, ...change };
  const end = new AbortController();
  let died = false;
  let reborn: Promise<void> = Promise.resolve();
  const start = (life: { dead: boolean }) =>
    createCoordinator({
      store: mortal(store, life, (what) => {
        if (died || !dieAfter(what)) return;
        [died, life.dead] = [true, true];
        reborn = start({ dead: false }).then((next) => {
          coordinator = next;
        });
      }),
      ...{ blobs, clock: systemClock, timers: hasty, entropy: webcryptoEntropy },
      async openWorks() {
        const works = tinyWorks(whole, blobs, (params) => published.push(params));
        const aggregate: RunWorks['aggregate'] = async (...asked) => {
          await onAggregate(...asked);
          return works.aggregate(...asked);
        };
        return { ...works, aggregate };
      },
      log: { info: () => undefined, warn: () => undefined },
      ...{ node: 'one', exclusive: true },
      signatures: { verify: verifyHere, signer: ed25519FromSeed },
      limits: { requestsPerSecond: 1e6, requestBurst: 1e6, failedJoinBurst: 1000 },
    });
  let coordinator = await start({ dead: false });
  await coordinator.operator.createRun(RUN, { ...whole });
  const world: World = {
    get coordinator() {
      return coordinator;
    },
    ...{ published, end: end.signal, opened, truth },
    events: async () => (await coordinator.operator.events(RUN, 0, 1000)).map(({ event }) => event),
    params: async (digest) => decodeParams(await blobs.get(digest)),
    file: (digest) => blobs.get(digest),
    async join(owner, client = {}) {
      const token = { run: RUN, owner, uses: 1, ttlMs: 60_000 };
      const { text } = await coordinator.operator.createToken(token);

      return tinyClient(world, {
        ...{ owner, token: text },
        ...client,
        change: (parts) => ({
          // A dead coordinator hangs up.
          transport: async (request, signal) => {
            for (;;) {
              await reborn;
              const answer = await Promise.race([
                transportTo(world)(request, signal),
                hangUp(() => died, reborn),
              ]);
              if (answer !== 'again') return spied(world, answer);
              await reborn;
            }
          },
          openTrainer: async (_, name) => spying(tinyTrainer(name), name, truth),
          ...client.change?.(parts),
        }),
      });
    },
    async close() {
      end.abort();
      await coordinator.close(1000);
    },
  };
  return world;
}

/** Resolves when the coordinator that was asked is gone; never when it was reborn before. */
function hangUp(died: () => boolean, reborn: Promise<void>): Promise<'again'> {
  const before = died();
  return new Promise((resolve) => {
    if (before) return;
    const look = setInterval(() => {
      if (!died()) return;
      clearInterval(look);
      void reborn.then(() => setTimeout(() => resolve('again'), 5));
    }, 5);
    look.unref();
  });
}

type Answer = Awaited<ReturnType<ReturnType<typeof transportTo>>>;

async function spied({ opened }: World, answer: Answer): Promise<Answer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of answer.body) pieces.push(piece);
  const text = Buffer.concat(pieces).toString();
  const found = text.startsWith('{"attempt"')
    ? (JSON.parse(text) as { attempt: number; told: SecureTold | null })
    : undefined;
  if (found?.told?.step === 'confirm') {
    const sets = opened.get(found.attempt) ?? new Set();
    opened.set(found.attempt, sets.add(found.told.survivors.join()));
  }
  return {
    ...answer,
    body: (async function* () {
      yield* pieces;
    })(),
  };
}

function spying(trainer: Trainer, owner: string, truth: Map<string, Params>): Trainer {
  return {
    ...trainer,
    async train(...asked) {
      const result = await trainer.train(...asked);
      truth.set(`${asked[0].round} ${owner}`, decodeParams(result.update));
      return result;
    },
  };
}

/** A store that says `wrote` after each write, and nothing more to anybody once its process is dead. */
function mortal(store: Store, life: { dead: boolean }, wrote: (what: string) => void): Store {
  const wrap = <T extends object>(target: T, name: string): T =>
    new Proxy(target, {
      get(_, key) {
        const value = Reflect.get(target, key) as unknown;
        if (typeof value === 'object' && value !== null && name === '') return wrap(value, String(key));
        if (typeof value !== 'function') return value;
        return (...args: unknown[]) => {
          if (life.dead) return new Promise(() => {});
          const result = value.apply(target, args) as unknown;
          if (!(result instanceof Promise)) return result;
          return result.then((given: unknown) => {
            if (key === 'put') wrote(`${args[0]} ${args[1]}`);
            if (key === 'append') for (const event of args[0] as RunEvent[]) wrote(event.type);
            if (life.dead) return new Promise(() => {});
            return key === 'open' && typeof given === 'object' && given !== null
              ? wrap(given, 'journal')
              : given;
          });
        };
      },
    });
  return wrap(store, '');
}

/** The published params are base + the exact mean of the true updates of the members, and each attempt opened one set at most. */
async function checkExact(world: World): Promise<readonly string[]> {
  const events = await world.events();
  const created = events.find((event) => event.type === 'created');
  const aggregated = events.find((event) => event.type === 'aggregated');
  if (created?.type !== 'created' || aggregated?.type !== 'aggregated')
    throw new Error('the round was not closed');
  const state = await world.coordinator.operator.state(RUN);
  const members = Object.keys(state!.closed[0]!.members);
  const { plan } = created;
  const ring = planRing(TINY_TENSORS, {
    counts: plan.owners.map(({ numExamples }) => numExamples),
    cohortSize: 5,
  });
  const sum = emptySum();
  for (const owner of members)
    addUpdate(ring, sum, world.truth.get(`1 ${owner}`)!, state!.roster[owner]!.aggregationWeight);
  const { mean } = takeMean(ring, sum);
  const [before, after] = [await world.params(plan.initialParams), await world.params(aggregated.params)];
  for (const [name, { data }] of after)
    expect([...data]).toEqual(
      [...before.get(name)!.data].map((x, i) => Math.fround(x + mean.get(name)!.data[i]!)),
    );
  for (const sets of world.opened.values()) expect(sets.size).toBe(1);
  return members;
}

describe('owners who open the masks together, with dropouts', () => {
  for (const step of ['advertise', 'share', 'mask', 'confirm'] as SecureStep[])
    it(`the sum of the others is exact when one falls silent after the step "${step}"`, async () => {
      const world = await startWorld();
      const gone = new AbortController();
      const onEvent = (event: ClientEvent) => {
        if (event.type === 'secure-round' && event.step === step) gone.abort();
      };
      const lost = world.join('eve', { signal: gone.signal, onEvent }).catch((cause) => cause.code);
      const outcomes = await Promise.all(OWNERS.slice(0, 4).map((owner) => world.join(owner)));
      expect(outcomes).toMatchObject(OWNERS.slice(0, 4).map(() => ({ status: 'finished' })));
      expect(await lost).toBe('INTERRUPTED');
      const members = await checkExact(world);
      expect(members.length).toBeGreaterThanOrEqual(3);
      // What was sent counts, whoever is lost afterwards.
      if (step !== 'confirm') expect(members).not.toContain('eve');
      await world.close();
    });

  it('too few to open the masks: the attempt is abandoned, the next one with fresh keys is exact', async () => {
    const world = await startWorld();
    const lost: Promise<unknown>[] = [];
    for (const owner of ['dan', 'eve']) {
      const gone = new AbortController();
      const onEvent = (event: ClientEvent) => {
        if (event.type === 'secure-round' && event.step === 'share') gone.abort();
      };
      lost.push(world.join(owner, { signal: gone.signal, onEvent }).catch((cause) => cause.code));
    }
    const outcomes = await Promise.all(OWNERS.slice(0, 3).map((owner) => world.join(owner)));
    expect(outcomes).toMatchObject([{ status: 'finished' }, { status: 'finished' }, { status: 'finished' }]);
    expect(await Promise.all(lost)).toEqual(['INTERRUPTED', 'INTERRUPTED']);
    expect(await checkExact(world)).toEqual(OWNERS.slice(0, 3));
    const events = await world.events();
    const about = events.filter(({ type }) => type === 'keys-fixed' || type === 'attempt-abandoned');
    expect(about.slice(0, 2)).toMatchObject([
      { type: 'keys-fixed', attempt: 1, owners: OWNERS },
      { type: 'attempt-abandoned', attempt: 1, reason: expect.stringMatching(/too few/) },
    ]);
    expect(about.at(-1)).toMatchObject({ type: 'keys-fixed', owners: OWNERS.slice(0, 3) });
    await world.close();
  });
});

describe('owners who were asked for their shares', () => {
  it('open no second sum of the round: it is passed over, nothing of it is used, and the next one is whole', async () => {
    const secureAggregation = { ...recipe.secureAggregation!, stepMs: 400 };
    const few = { cohortSize: 3, quorum: 3, minOwners: 3, rounds: 2, secureAggregation };
    const world = await startWorld(few);
    const folder: ClientFolder = new Map();
    const gone = new AbortController();
    const onEvent = (event: ClientEvent) => {
      if (event.type === 'secure-round' && event.step === 'unmask') gone.abort();
    };
    const next = Promise.withResolvers<void>();
    const watching = (event: ClientEvent) => {
      if (event.type === 'task' && event.task.kind === 'train' && event.task.round === 2) next.resolve();
    };
    const others = ['ann', 'ben'].map((owner) => world.join(owner, { onEvent: watching }));
    expect(await world.join('cid', { folder, signal: gone.signal, onEvent }).catch(({ code }) => code)).toBe(
      'INTERRUPTED',
    );
    await next.promise;
    const back = await world.join('cid', { folder });
    expect(await Promise.all([...others, back])).toMatchObject(Array(3).fill({ status: 'finished' }));
    const events = await world.events();
    const ends = events.filter((event) => 'passedOver' in event || event.type === 'aggregated');
    expect(ends).toMatchObject([
      { type: 'attempt-abandoned', round: 1, attempt: 1, gone: ['cid'], passedOver: true },
      { type: 'aggregated', round: 2 },
    ]);
    const state = await world.coordinator.operator.state(RUN);
    expect(state!.closed.map(({ members }) => Object.keys(members))).toEqual([[], ['ann', 'ben', 'cid']]);
    expect(state!.closed[0]!.params).toBe(state!.plan.initialParams);
    expect(secureAggregationOf(state!.plan, events)!.statement).toContain(
      'Passed over, because too few owners were left while masks were opened: round 1;',
    );
    await world.close();
  });
});

describe('sixteen owners in groups', () => {
  const crowd = Array.from({ length: 16 }, (_, i) => `o${String(i).padStart(2, '0')}`);
  const secureAggregation = { ...recipe.secureAggregation!, groupSize: 3 };

  it('each group gives the exact sum of its members, one of which is lost, and nothing else is opened', async () => {
    const sums: (readonly string[])[] = [];
    const world = await startWorld(
      { cohortSize: 16, quorum: 12, minOwners: 16, secureAggregation },
      undefined,
      async ({ members }, plan, _, unmask) => {
        const { groups, masks } = unmask!;
        for (const [g, places] of groups.entries()) {
          const owners = places.map((place) => members[place]!);
          sums.push(owners.map(({ owner }) => owner));
          const [sum, expected] = [0, 0].map(() => new Uint32Array(maskedLayout(TINY_TENSORS).words));
          for (const { owner, update, aggregationWeight } of owners) {
            await addMaskedStream(sum!, once(await world.file(update)), TINY_TENSORS);
            const { fractionBits, range } = plan.fixedPoint.tensors[0]!;
            const scale = { fractionBits, range, weight: aggregationWeight };
            addWords(expected!, unmaskedFile(world.truth.get(`1 ${owner}`)!, scale).words);
          }
          if ('sums' in masks) throw new Error('owners open their masks themselves');
          await removeMasks(sum!, masks[g]!);
          expect(sum).toEqual(expected);
        }
      },
    );
    const gone = new AbortController();
    const onEvent = (event: ClientEvent) => {
      if (event.type === 'secure-round' && event.step === 'share') gone.abort();
    };
    const lost = world.join('o15', { signal: gone.signal, onEvent }).catch((cause) => cause.code);
    const outcomes = await Promise.all(crowd.slice(0, 15).map((owner) => world.join(owner)));
    expect(outcomes).toMatchObject(crowd.slice(0, 15).map(() => ({ status: 'finished' })));
    expect(await lost).toBe('INTERRUPTED');
    expect(sums.map(({ length }) => length).sort()).toEqual([3, 4, 4, 4]);
    expect(sums.flat().sort()).toEqual(crowd.slice(0, 15));
    await world.close();
  });
});

async function* once(bytes: Uint8Array) {
  yield bytes;
}

const POINTS = [
  'begun',
  'advert/',
  'keys-fixed',
  'shares/',
  'present',
  'update-received',
  'confirmed/',
  'unmasked/',
  'aggregated',
];

describe('a coordinator that dies', () => {
  for (const point of POINTS)
    it(`right after it wrote "${point}" is replaced by one that goes on to the exact sum`, async () => {
      const world = await startWorld({ cohortSize: 3, minOwners: 3 }, (what) =>
        point.endsWith('/') || point === 'begun' || point === 'present'
          ? what.startsWith('secure-rounds ') && what.includes(`/${point}`)
          : what === point,
      );
      const outcomes = await Promise.all(OWNERS.slice(0, 3).map((owner) => world.join(owner)));
      expect(outcomes).toMatchObject([
        { status: 'finished' },
        { status: 'finished' },
        { status: 'finished' },
      ]);
      expect(await checkExact(world)).toEqual(OWNERS.slice(0, 3));
      await world.close();
    });
});
