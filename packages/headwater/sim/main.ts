/**
 * `npm run sim -- --seeds N [--start S]` simulates N schedules, `--seed S [--trace]` repeats one exactly, `--plant NAME` with
 * a planted fault; `npm run sim:planted` looks for all planted faults. It fails when a promise is broken, and with planted
 * faults when one is not found.
 */

import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { plants } from './plants.ts';
import { simulateMany } from './pool.ts';
import { type Report, reportOf, violationLines } from './report.ts';
import { simulateSeed } from './simulate.ts';

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '2000' },
    start: { type: 'string', default: '1' },
    seed: { type: 'string' },
    trace: { type: 'boolean', default: false },
    plant: { type: 'string' },
    planted: { type: 'boolean', default: false },
    threads: { type: 'string' },
    all: { type: 'boolean', default: false },
  },
});

const first = Number(values.start);
const count = Number(values.seeds);
const threads = Number(values.threads ?? availableParallelism());
const MOST_SEEDS_FOR_A_PLANT = 500;

if (values.plant !== undefined && !plants.has(values.plant))
  throw new Error(`no fault is called "${values.plant}"; there are ${[...plants.keys()].join(', ')}`);
if (values.planted) await searchPlanted();
else if (values.seed !== undefined) await repeatOne(Number(values.seed));
else await searchSeeds();

async function repeatOne(seed: number): Promise<void> {
  const print = values.trace ? (line: string) => console.log(line) : undefined;
  const plant = plants.get(values.plant ?? '');
  const outcome = await simulateSeed(seed, { plant, print });
  show(reportOf(outcome, 0));
  if (outcome.violation !== undefined) process.exitCode = 1;
  const { status, events, virtualMs, hash } = outcome;
  console.log(
    `seed ${seed}: ${status}, ${events} events in ${Math.round(virtualMs / 1000)} virtual seconds, trace ${hash}`,
  );
}

async function searchSeeds(): Promise<void> {
  const startedMs = performance.now();
  const reports: Report[] = [];
  const options = { threads, plant: values.plant ?? null };
  await simulateMany(first, count, {
    ...options,
    onReport(report) {
      reports.push(report);
      show(report);
      return values.all || reports.filter(({ violation }) => violation !== null).length < 10;
    },
  });
  const broken = reports.filter(({ violation }) => violation !== null).length;
  const seconds = (performance.now() - startedMs) / 1000;
  const statuses = new Map<string, number>();
  for (const { status } of reports) statuses.set(status, (statuses.get(status) ?? 0) + 1);
  const events = reports.reduce((sum, report) => sum + report.events, 0);
  const ended = [...statuses].map(([status, n]) => `${n} ${status}`).join(', ');
  console.log(
    `${reports.length} seeds (${ended}), ${events} events, ${broken} violations, ` +
      `${seconds.toFixed(1)} s on ${threads} threads: ${(reports.length / seconds).toFixed(1)} seeds a second`,
  );
  if (broken > 0) process.exitCode = 1;
}

async function searchPlanted(): Promise<void> {
  for (const [name, { what }] of plants) {
    if (values.plant !== undefined && values.plant !== name) continue;
    const found = await firstFound(name);
    if (found === undefined) {
      console.log(`${name}: NOT FOUND within ${MOST_SEEDS_FOR_A_PLANT} seeds (${what})`);
      process.exitCode = 1;
    } else console.log(`${name}: found at seed ${found.seed} by "${found.violation!.checker}" (${what})`);
  }
}

async function firstFound(plant: string): Promise<Report | undefined> {
  let found: Report | undefined;
  await simulateMany(first, MOST_SEEDS_FOR_A_PLANT, {
    threads,
    plant,
    onReport(report) {
      if (report.violation !== null && (found === undefined || report.seed < found.seed)) found = report;
      return found === undefined;
    },
  });
  return found;
}

function show(report: Report): void {
  const plant = values.plant === undefined ? '' : ` --plant ${values.plant}`;
  for (const line of violationLines(report, `npm run sim --${plant}`)) console.log(line);
}
