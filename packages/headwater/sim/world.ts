/** What everybody in one simulated world shares: time, network, disks, weather, and the checkers that see everything. */

import { rng } from '../src/base/random.ts';
import type { Machine } from '../src/coordinator/ports.ts';
import { start, step } from '../src/federation/machine.ts';
import { LIMITS } from '../src/federation/wire/messages.ts';
import { createWatch, type Watch } from './checkers/watch.ts';
import { createDisk, type VirtualDisk } from './disk.ts';
import { createNetwork, type Network } from './network.ts';
import { createOperator, type RunningCoordinator, type VirtualOperator } from './operator.ts';
import type { Plant } from './plant.ts';
import { createProcesses, type Processes } from './processes.ts';
import type { Scenario } from './scenario.ts';
import { openBlobs } from './storage-process.ts';
import { createTrace, type Trace } from './trace.ts';
import { clockOf, createTime, type VirtualTime } from './virtual-time.ts';
import { createWeather, type Weather } from './weather.ts';

/** Name of the run. */
export const RUN = 'tiny';

export interface World {
  readonly scenario: Scenario;
  readonly plant: Plant | undefined;
  readonly time: VirtualTime;
  readonly trace: Trace;
  readonly processes: Processes;
  readonly weather: Weather;
  readonly network: Network;
  readonly watch: Watch;
  readonly machine: Machine;
  readonly operator: VirtualOperator;
  /** Of the store and of the blobs; the same one where one process has both. */
  readonly disks: { readonly store: VirtualDisk; readonly blobs: VirtualDisk };
  /** Those that run now, by name. */
  readonly coordinators: Map<string, RunningCoordinator>;
}

export function createWorld(
  scenario: Scenario,
  plant: Plant | undefined,
  print: ((line: string) => void) | undefined,
): World {
  const { seed, topology } = scenario;
  const time = createTime();
  const trace = createTrace(time, print);
  const processes = createProcesses(time, trace);
  const weather = createWeather(scenario, time, rng(seed, 'weather'), processes);
  const network = createNetwork(time, rng(seed, 'network'));
  const store = createDisk(time, rng(seed, 'disk'));
  const blobs = topology === 'embedded' ? store : createDisk(time, rng(seed, 'bucket'));
  for (const disk of [store, blobs]) disk.faults = weather.disk;
  network.faults = weather.network;
  const machine = plant?.machine?.({ start, step }) ?? { start, step };
  const watch = createWatch({
    time,
    run: RUN,
    machine,
    clocksAgree: clocksAgree(scenario),
    safe: openBlobs(blobs.look('durable'), clockOf(time), rng(seed)),
    seen: openBlobs(blobs.look('entries'), clockOf(time), rng(seed)),
    onEvent: (seq, event, state) =>
      trace(
        'journal',
        `${seq} ${event.type} round ${state.open?.round ?? '-'} ${state.open?.phase ?? state.status}`,
      ),
  });
  const coordinators = new Map<string, RunningCoordinator>();
  const operator = createOperator({ time, trace, run: RUN, coordinators: () => [...coordinators.values()] });
  const disks = { store, blobs };
  return {
    scenario,
    plant,
    time,
    trace,
    processes,
    weather,
    network,
    watch,
    machine,
    operator,
    disks,
    coordinators,
  };
}

/** Farther off than this a client is told the time. */
const TOLD_MS = 1000 * LIMITS.clockSkewSeconds + 10_000;

function clocksAgree({ coordinatorClockMs, owners }: Scenario): boolean {
  const told = (offsetMs: number) => offsetMs === 0 || Math.abs(offsetMs) > TOLD_MS;
  return (
    coordinatorClockMs.every((offsetMs) => offsetMs === 0) &&
    owners.every(({ clockOffsetMs }) => told(clockOffsetMs))
  );
}
