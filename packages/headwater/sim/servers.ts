/** The processes of the operator's side: coordinators, and where several share them a database and a bucket. */

import { messageOf } from '../src/base/errors.ts';
import { rng } from '../src/base/random.ts';
import { createCoordinator } from '../src/coordinator/core.ts';
import type { CoordinatorFact, CoordinatorParts, IncomingRequest } from '../src/coordinator/ports.ts';
import type { WireResponse } from '../src/federation/wire/transport.ts';
import type { Blobs } from '../src/storage/blobs.ts';
import type { Store } from '../src/storage/store.ts';
import { virtualSigner, virtualVerify } from './client-process.ts';
import { distantBlobs, distantStore, linkTo, type Server } from './distant.ts';
import { type AskFrom, startHelper } from './helper-process.ts';
import { type Life, notice } from './life.ts';
import { arriving, bodyOf } from './network.ts';
import { randomBytes } from './random-bytes.ts';
import { openBlobs, openStore } from './storage-process.ts';
import { clockOf, timersOf } from './virtual-time.ts';
import { type TinyRecipe, tinyWorks } from './works.ts';
import { RUN, type World } from './world.ts';

/** How long a process manager waits before it starts again what ended by itself. */
const RESTART_MS = 1000;
const DRAIN_MS = 5000;

interface Storage {
  readonly store: Store;
  readonly blobs: Blobs;
}

type OpenStorage = (life: Life) => Promise<Storage>;

/** What a coordinator's process reaches. */
interface Surroundings {
  readonly open: OpenStorage;
  readonly ask: AskFrom | undefined;
}

export function startServers(world: World): void {
  const open = world.scenario.topology === 'embedded' ? embeddedStorage(world) : sharedStorage(world);
  const { coordinators, recipe } = world.scenario;
  const ask = recipe.secureAggregation?.mode === 'two-server' ? startHelper(world) : undefined;
  for (let i = 0; i < coordinators; i++) addCoordinator(world, i, { open, ask });
}

function embeddedStorage({ disks, time, plant, watch, scenario }: World): OpenStorage {
  return async (life) => {
    const session = disks.store.session(life);
    const disk = plant?.disk?.(session) ?? session;
    const clock = clockOf(time);
    const store = await openStore(disk, clock);
    const blobs = await openBlobs(disk, clock, rng(scenario.seed, 'names', life.incarnation));
    return { store: watch.watched(plant?.database?.(store) ?? store), blobs };
  };
}

function sharedStorage(world: World): OpenStorage {
  const { disks, time, plant, watch, scenario, weather } = world;
  const disk = (life: Life, of: 'store' | 'blobs') => {
    const session = disks[of].session(life);
    return plant?.disk?.(session) ?? session;
  };
  const database = addServer(world, 'database', async (life) => {
    const store = await openStore(disk(life, 'store'), clockOf(time));
    return watch.watched(plant?.database?.(store) ?? store);
  });
  const bucket = addServer(world, 'bucket', (life) =>
    openBlobs(disk(life, 'blobs'), clockOf(time), rng(scenario.seed, 'names', life.incarnation)),
  );
  const faults = () => weather.link;
  return async (life) => {
    const random = rng(scenario.seed, 'link', life.name, life.incarnation);
    return {
      store: distantStore(linkTo(time, random, life, database, faults)),
      blobs: distantBlobs(linkTo(time, random.split('blobs'), life, bucket, faults)),
    };
  };
}

/** Gives the process that serves now. */
function addServer<T>(
  world: World,
  name: string,
  open: (life: Life) => Promise<T>,
): () => Server<T> | undefined {
  const { processes, disks, trace } = world;
  let server: Server<T> | undefined;
  const start = (life: Life) => {
    open(life).then(
      (opened) => {
        server = { life, opened };
      },
      (error) => {
        trace(name, `does not start: ${messageOf(error)}`);
        processes.crash(name, RESTART_MS, 'kill');
      },
    );
  };
  const disk = name === 'database' ? disks.store : disks.blobs;
  processes.add({ name, start, powerCut: () => disk.cutPower() }, 0);
  return () => server;
}

function addCoordinator(world: World, index: number, around: Surroundings): void {
  const { processes, trace, disks, scenario, coordinators, network } = world;
  const name = `c${index + 1}`;
  const start = (life: Life) => {
    network.endpoints.set(name, undefined);
    life.onDeath(() => {
      coordinators.delete(name);
      network.endpoints.set(name, undefined);
    });
    run(world, life, index, around).catch((error) => {
      trace(name, `does not start: ${messageOf(error)}`);
      if (life.alive) processes.crash(name, RESTART_MS, 'kill');
    });
  };
  const powerCut = scenario.topology === 'embedded' ? () => disks.store.cutPower() : () => {};
  network.endpoints.set(name, undefined);
  const stop = async () => coordinators.get(name)?.coordinator.close(DRAIN_MS);
  processes.add({ name, start, powerCut, stop }, index * 20);
}

async function run(world: World, life: Life, index: number, { open, ask }: Surroundings): Promise<void> {
  const { plant, network, coordinators } = world;
  const opened = await open(life);
  const store = plant?.store?.(opened.store) ?? opened.store;
  const blobs = plant?.blobs?.(opened.blobs) ?? opened.blobs;
  const common = coordinatorParts(world, life, index, { store, blobs });
  const parts = ask === undefined ? common : { ...common, askHelper: ask(life) };
  const coordinator = await createCoordinator(plant?.coordinator?.(parts) ?? parts);
  coordinators.set(life.name, { life, coordinator, store, blobs });
  network.endpoints.set(life.name, {
    name: life.name,
    life,
    handle: plant?.handle?.(coordinator.handle) ?? coordinator.handle,
  });
}

function coordinatorParts(
  world: World,
  life: Life,
  index: number,
  { store, blobs }: Storage,
): CoordinatorParts {
  const { scenario, time, trace, watch, machine, plant } = world;
  const random = rng(scenario.seed, 'entropy', life.name, life.incarnation);
  const say = (level: string) => (event: string, fields?: Readonly<Record<string, unknown>>) => {
    const line = `${level} ${event} ${fields === undefined ? '' : JSON.stringify({ ...fields, stack: undefined })}`;
    watch.noise.told('a log line', line);
    trace(life.name, line);
  };
  return {
    store,
    blobs,
    clock: clockOf(time, () => scenario.coordinatorClockMs[index]!),
    timers: timersOf(time, life),
    entropy: (bytes) => randomBytes(random, bytes),
    openWorks: async (run, recipe) => {
      const works = tinyWorks(
        recipe as TinyRecipe,
        blobs,
        (params) => run === RUN && watch.published(params),
      );
      const planted = plant?.works?.(works, blobs) ?? works;
      return run === RUN ? watch.works(planted) : planted;
    },
    log: { info: say('info'), warn: say('warn') },
    node: life.name,
    exclusive: scenario.topology === 'embedded',
    signatures: { verify: virtualVerify, signer: virtualSigner },
    forward: (node, request) => forward(world, life, node, request),
    observe: (fact) => observed(world, fact),
    machine,
    limits: { snapshotEvents: scenario.snapshotEvents },
  };
}

function observed({ watch, trace }: World, fact: CoordinatorFact): void {
  if (fact.type === 'event' && fact.run === RUN) watch.states.shown(fact.seq, fact.event, fact.state);
  if (fact.type !== 'leading') return;
  trace('leading', `${fact.run} ${fact.leads}`);
  if (fact.leads) watch.requests.leads();
}

/** Another process is asked over the network between them; what it answers arrives whole or not at all. */
function forward(
  { network, time }: World,
  life: Life,
  node: string,
  request: IncomingRequest,
): Promise<WireResponse> {
  const endpoint = network.endpoints.get(node);
  return new Promise((resolve, reject) => {
    const fail = () => notice(time, life, () => reject(new Error(`${node} hung up`)));
    time.after(0.3, () => {
      if (endpoint?.life.alive !== true) return fail();
      endpoint.life.onDeath(fail);
      notice(time, endpoint.life, async () => {
        const { status, headers, body } = await endpoint.handle(request);
        const { pieces, whole } = await bodyOf(body);
        const answer = { status, headers, body: arriving(pieces, whole) };
        time.after(0.3, () => notice(time, life, () => resolve(answer)));
      });
    });
  });
}
