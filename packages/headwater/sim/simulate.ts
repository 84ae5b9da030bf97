/** One simulation from beginning to end, and what came of it. */

import { rng } from '../src/base/random.ts';
import { createAdversary } from './adversary.ts';
import { Violation } from './checkers/violation.ts';
import { type Clients, startClients } from './clients.ts';
import { withHelper } from './helper-process.ts';
import { withInstantCrypto } from './instant-crypto.ts';
import { intrude } from './intruder.ts';
import { beginLife } from './life.ts';
import type { Plant } from './plant.ts';
import { drawScenario, type Scenario, withoutFaults } from './scenario.ts';
import { startServers } from './servers.ts';
import { clockOf } from './virtual-time.ts';
import { createWorld, RUN, type World } from './world.ts';

export interface Outcome {
  readonly seed: number;
  readonly violation: Violation | undefined;
  /** Of everything that happened. */
  readonly hash: string;
  readonly status: string;
  /** Digest of the last round's params; undefined when there was none. */
  readonly params: string | undefined;
  readonly virtualMs: number;
  readonly events: number;
}

export interface SimulationOptions {
  readonly plant?: Plant | undefined;
  readonly print?: ((line: string) => void) | undefined;
}

/** Once nothing fails any more a run has so long to end. */
const PATIENCE_MS = 30 * 60_000;

export async function simulateSeed(seed: number, options: SimulationOptions = {}): Promise<Outcome> {
  const scenario = drawScenario(seed);
  const outcome = await simulate(scenario, options);
  if (outcome.violation !== undefined || !scenario.exact || outcome.status !== 'finished') return outcome;
  const calm = await simulate(withoutFaults(scenario), { plant: options.plant });
  if (calm.violation !== undefined) return { ...outcome, violation: calm.violation };
  if (calm.params === outcome.params) return outcome;
  const message = `the result is ${outcome.params}, without faults it is ${calm.params}`;
  return { ...outcome, violation: new Violation('result', message, outcome.virtualMs) };
}

export function simulate(scenario: Scenario, options: SimulationOptions = {}): Promise<Outcome> {
  return withInstantCrypto(() => simulated(scenario, options));
}

async function simulated(scenario: Scenario, { plant, print }: SimulationOptions): Promise<Outcome> {
  const world = createWorld(scenario, plant, print);
  const { time, watch, trace } = world;
  const crashed = (error: unknown) => watch.report('crash', `nobody caught ${describe(error)}`);
  process.on('unhandledRejection', crashed);
  try {
    startServers(world);
    const clients = begin(world);
    const isDone = () => watch.violation !== undefined || isOver(world, clients());
    const ended = await time.run(isDone, scenario.healsAtMs + PATIENCE_MS).catch(crashed);
    if (ended !== 'done') watch.report('progress', unfinished(world, clients()));
    await checkEnd(world);
  } finally {
    process.off('unhandledRejection', crashed);
  }
  return {
    seed: scenario.seed,
    violation: watch.violation,
    hash: trace.hash(),
    status: watch.states.state?.status ?? 'never begun',
    params: watch.ledger.committed.at(-1)?.params,
    virtualMs: time.nowMs,
    events: time.fired,
  };
}

/** The operator makes the run and invites; then owners come and things begin to happen. */
function begin(world: World): () => Clients | undefined {
  const { scenario, operator, time, network, watch } = world;
  let clients: Clients | undefined;
  void withHelper(scenario.recipe)
    .then((recipe) => operator.createRun(recipe))
    .then(() => {
      clients = startClients(world);
    });
  for (const { atMs, act } of scenario.operator) time.after(atMs, () => void operator.act(act));
  const care = () => {
    void operator.careFor(time.nowMs >= scenario.healsAtMs);
    time.after(15_000, care);
  };
  time.after(15_000, care);
  network.onAnswered = (answer) => {
    watch.requests.answered(answer);
    watch.masks.answered(answer);
    watch.noise.told('an answer', answer.body);
  };
  network.onSent = watch.masks.sent;
  if (scenario.intruder) void letIntrude(world);
  if (scenario.adversary) {
    const transport = network.transport('adversary', beginLife('adversary', 1));
    const random = rng(scenario.seed, 'adversary');
    const adversary = createAdversary(time, random, transport, watch.report, scenario.healsAtMs);
    network.onSent = (client, request) => {
      watch.masks.sent(client, request);
      if (client !== 'adversary') adversary.sees(request);
    };
  }
  return () => clients;
}

async function letIntrude({ scenario, operator, time, network, watch }: World): Promise<void> {
  // It waits for owners that never come.
  await operator.createRun({ ...scenario.recipe, minOwners: 99 }, 'other');
  const token = await operator.invite('site-a', 'other');
  const transport = network.transport('intruder', beginLife('intruder', 1));
  const random = rng(scenario.seed, 'intruder');
  const parts = { time, clock: clockOf(time), random, transport, report: watch.report, run: RUN, token };
  await intrude({ ...parts, untilMs: scenario.healsAtMs });
}

const isReliable = ({ misbehaves, leavesAtMs }: Scenario['owners'][number]) =>
  misbehaves === null && leavesAtMs === null;

function isOver({ watch, scenario }: World, clients: Clients | undefined): boolean {
  if (clients === undefined || watch.states.state?.status === 'running') return false;
  return scenario.owners.filter(isReliable).every(({ owner }) => clients.done.has(owner));
}

function unfinished({ watch, scenario, time }: World, clients: Clients | undefined): string {
  const state = watch.states.state;
  const { open } = state ?? {};
  const waiting = scenario.owners.filter(({ owner }) => clients?.done.has(owner) !== true);
  const where = open === undefined ? 'no round is open' : `round ${open.round} is ${open.phase}`;
  return `after ${Math.round(time.nowMs / 1000)} s the run is ${state?.status ?? 'not begun'}, ${where}; not done: ${waiting.map(({ owner }) => owner).join(', ')}`;
}

async function checkEnd({ watch, scenario }: World): Promise<void> {
  const { state } = watch.states;
  if (watch.violation !== undefined || state === undefined) return;
  if (state.status === 'failed') watch.report('progress', `the run failed: ${state.failure}`);
  const stopped = scenario.operator.some(({ act }) => act === 'stop');
  if (state.status === 'cancelled' && !stopped) watch.report('progress', 'the run was cancelled by nobody');
}

function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
