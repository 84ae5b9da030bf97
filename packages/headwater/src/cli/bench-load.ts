/**
 * `headwater bench load`: one coordinator process and thousands of clients that train nothing, over HTTP on this machine:
 * is any request lost, how long do clients wait for answers, how much memory does the coordinator take.
 */

import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { HeadwaterError } from '../base/errors.ts';
import { type Latencies, latenciesOf } from './bench-latencies.ts';
import type { LoadOrder, LoadReport } from './bench-load-clients.ts';
import { childOf, inFolder, memoryOf, messageFrom } from './bench-processes.ts';
import { benchRecipe, tuningFor } from './bench-recipe.ts';
import type { CoordinatorOrder, CoordinatorOver, CoordinatorReport } from './bench-rounds-coordinator.ts';
import { renderTable } from './style.ts';

export interface LoadBenchOptions {
  readonly clients: number;
  readonly cohort: number;
  readonly kilobytes: number;
  readonly rounds: number;
  readonly wave: number;
  readonly training: number;
  readonly durability: 'full' | 'none';
  readonly json?: true;
}

type Played = Extract<LoadReport, { type: 'played' }>;

interface Measured {
  readonly joinsMs: number;
  readonly played: Played;
  readonly over: CoordinatorOver;
  readonly rssMB: { readonly before: number; readonly joined: number; readonly peak: number };
}

/** Of each process: connections, and files for blobs and the store beside them. */
const SPARE_FILES = 500;

export async function benchLoad(options: LoadBenchOptions): Promise<void> {
  checkFiles(options.clients + SPARE_FILES);
  const tuning = await tuningFor(options.kilobytes * 1000);
  const recipe = benchRecipe(options, tuning);
  const measured = await inFolder((folder) => oneRun(folder, options, recipe));
  checkNothingLost(measured, options);
  show(measured, options, tuning.bytes);
}

/** Throws OPTION_INVALID. */
function checkFiles(needed: number): void {
  const { userLimits } = process.report.getReport() as {
    readonly userLimits?: { readonly open_files?: { readonly soft: number | string } };
  };
  const allowed = Number(userLimits?.open_files?.soft);
  // Unlimited, or a system that knows no such limit.
  if (!(allowed < needed)) return;
  throw new HeadwaterError(
    'OPTION_INVALID',
    `a process may open ${allowed} files and connections here, so many clients need ${needed}`,
    { hint: `Raise the limit first (\`ulimit -n ${needed}\`), or take fewer --clients.` },
  );
}

async function oneRun(
  folder: string,
  { clients, wave, training, durability }: LoadBenchOptions,
  recipe: CoordinatorOrder['recipe'],
): Promise<Measured> {
  const coordinator = childOf('./bench-rounds-coordinator');
  const players = childOf('./bench-load-clients');
  try {
    const store = join(folder, 'store');
    coordinator.send({ store, durability, recipe, clients } satisfies CoordinatorOrder);
    const { url, tokens } = await messageFrom<CoordinatorReport, 'ready'>(coordinator, 'ready');
    const overComing = messageFrom<CoordinatorReport, 'over'>(coordinator, 'over');
    const playedComing = messageFrom<LoadReport, 'played'>(players, 'played');
    const before = memoryOf(coordinator).rss;
    players.send({ url, tokens, wave, trainingMs: 1000 * training } satisfies LoadOrder);
    const { tookMs } = await messageFrom<LoadReport, 'entered'>(players, 'entered');
    const joined = memoryOf(coordinator).rss;
    const over = await overComing;
    const played = await playedComing;
    const { peak } = memoryOf(coordinator);
    await ended(coordinator, players);
    return { joinsMs: tookMs, played, over, rssMB: { before, joined, peak } };
  } finally {
    players.kill('SIGKILL');
    coordinator.kill('SIGKILL');
  }
}

/** The clients end by themselves. */
async function ended(coordinator: ChildProcess, players: ChildProcess): Promise<void> {
  coordinator.send('end');
  for (const child of [coordinator, players]) if (child.exitCode === null) await once(child, 'exit');
}

/** Throws ROUND_FAILED. */
function checkNothingLost({ played, over }: Measured, { cohort, rounds }: LoadBenchOptions): void {
  const { lost, firstLoss, counted } = played;
  if (over.reason !== null) throw new HeadwaterError('ROUND_FAILED', over.reason);
  if (lost > 0)
    throw new HeadwaterError('ROUND_FAILED', `${lost} clients gave up; the first because: ${firstLoss}`);
  if (counted !== cohort * rounds)
    throw new HeadwaterError(
      'ROUND_FAILED',
      `${counted} updates were counted, expected ${rounds} rounds of ${cohort}`,
    );
}

function show({ joinsMs, played, over, rssMB }: Measured, options: LoadBenchOptions, bytes: number): void {
  const latencies = latenciesOf(played.samples, over);
  const { clients, cohort, rounds, training, durability } = options;
  const report = {
    clients,
    cohort,
    rounds,
    trainingSeconds: training,
    updateBytes: bytes,
    durability,
    joinsSeconds: rounded(joinsMs / 1000),
    roundSeconds: over.committedMs.map((at, i) => rounded((at - over.openedMs[i]!) / 1000)),
    updatesCounted: played.counted,
    failedAndRepeated: played.failures,
    coordinatorCpuSeconds: {
      answering: rounded(over.cpuSeconds.answering),
      all: rounded(over.cpuSeconds.all),
    },
    coordinatorMB: {
      before: rounded(rssMB.before),
      joined: rounded(rssMB.joined),
      peak: rounded(rssMB.peak),
    },
    coordinatorLagMs: { p99: rounded(over.lag.p99Ms), max: rounded(over.lag.maxMs) },
    clientsLagMs: { p99: rounded(played.lag.p99Ms), max: rounded(played.lag.maxMs) },
    milliseconds: Object.fromEntries(latencies.map(({ what, ...figures }) => [what, inShort(figures)])),
  };
  if (options.json) {
    console.log(JSON.stringify(report));
    return;
  }
  const { milliseconds: _, ...facts } = report;
  const rows = Object.entries(facts).map(([name, value]) => [
    name,
    typeof value === 'object' ? JSON.stringify(value) : String(value),
  ]);
  console.log(renderTable({ head: ['a coordinator under load', ''], rows, numeric: false }));
  const head = ['milliseconds', 'requests', 'p50', 'p95', 'p99', 'max'];
  const lines = latencies.map(({ what, count, ...rest }) => [
    what,
    String(count),
    ...[rest.p50, rest.p95, rest.p99, rest.max].map((value) => String(rounded(value))),
  ]);
  console.log(renderTable({ head, rows: lines }));
}

function inShort({ count, p50, p95, p99, max }: Omit<Latencies, 'what'>) {
  return { count, p50: rounded(p50), p95: rounded(p95), p99: rounded(p99), max: rounded(max) };
}

function rounded(value: number): number {
  return Number(value.toPrecision(3));
}
