/** The processes of the owners: each runs the product's client until the run is over, whatever happens in between. */

import { HeadwaterError, messageOf } from '../src/base/errors.ts';
import { rng } from '../src/base/random.ts';
import { type ClientFolder, runVirtualClient } from './client-process.ts';
import { lyingTransport } from './liar.ts';
import type { Life } from './life.ts';
import type { OwnerScenario } from './scenario.ts';
import { clockOf } from './virtual-time.ts';
import { RUN, type World } from './world.ts';

const RESTART_MS = 2000;
const RESTART_REFUSED_MS = 20_000;

export interface Clients {
  /** Owners whose client saw the end of the run. */
  readonly done: ReadonlySet<string>;
}

export function startClients(world: World): Clients {
  const done = new Set<string>();
  for (const owner of world.scenario.owners) void startClient(world, owner, done);
  return { done };
}

async function startClient(world: World, owner: OwnerScenario, done: Set<string>): Promise<void> {
  const { processes, time, operator } = world;
  const name = owner.owner;
  const folder: ClientFolder = new Map();
  const ticket = { token: await operator.invite(name) };
  const isGone = () => owner.leavesAtMs !== null && time.nowMs >= owner.leavesAtMs;
  const start = (life: Life) => void live(world, owner, folder, ticket.token, life, done);
  processes.add({ name, start }, Math.max(0, owner.startsAtMs - time.nowMs));
  if (owner.leavesAtMs !== null)
    time.after(owner.leavesAtMs - time.nowMs, () => processes.crash(name, null, 'kill'));
  if (owner.losesStateAtMs !== null)
    time.after(owner.losesStateAtMs - time.nowMs, async () => {
      if (done.has(name)) return;
      processes.crash(name, null, 'kill');
      folder.clear();
      world.watch.kept.lost(name);
      world.watch.masks.lost(name);
      ticket.token = await operator.invite(name);
      if (!isGone()) processes.crash(name, 1000, 'kill');
    });
  if (owner.revokedAtMs !== null)
    time.after(owner.revokedAtMs - time.nowMs, async () => {
      if (done.has(name)) return;
      await operator.revoke(name);
      ticket.token = await operator.invite(name);
      if (!isGone()) processes.crash(name, 1000, 'kill');
    });
}

async function live(
  world: World,
  owner: OwnerScenario,
  folder: ClientFolder,
  token: string,
  life: Life,
  done: Set<string>,
): Promise<void> {
  const { time, trace, scenario, weather, network, plant, processes } = world;
  const name = owner.owner;
  const random = rng(scenario.seed, 'liar', name, life.incarnation);
  let key: Uint8Array | undefined;
  const honest = network.transport(name, life);
  const transport =
    owner.misbehaves === 'liar' ? lyingTransport(honest, () => key, random, clockOf(time).nowMs) : honest;
  try {
    const outcome = await runVirtualClient(
      {
        time,
        seed: scenario.seed,
        owner,
        folder,
        weather,
        transport,
        token,
        onEvent: (event) => {
          if (event.type !== 'waiting') trace(name, JSON.stringify(event));
        },
        watch: world.watch.kept,
        latest: { update: undefined },
        onKey: (secret) => {
          key = secret;
        },
        plant: plant?.clientStore,
      },
      life,
    );
    trace(name, `is done: ${outcome.status}`);
    if (outcome.run === RUN) done.add(name);
    life.die();
  } catch (error) {
    const refused = error instanceof HeadwaterError && error.code === 'JOIN_REFUSED';
    trace(name, `ends: ${messageOf(error)}`);
    if (life.alive) processes.crash(name, refused ? RESTART_REFUSED_MS : RESTART_MS, 'kill');
  }
}
