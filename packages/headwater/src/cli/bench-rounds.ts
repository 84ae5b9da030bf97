/**
 * `headwater bench rounds`: how long a round of a deployment takes when nobody trains: a coordinator and clients as they are,
 * in processes of their own on this machine, beside a loop that only writes, flushes and hashes the same bytes.
 */

import { type ChildProcess, fork } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  closeSync,
  fsyncSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { HeadwaterError } from '../base/errors.ts';
import { rng } from '../base/random.ts';
import { siblingModule } from '../base/sibling.ts';
import { encodedBytes } from '../federation/params.ts';
import { openModel, readWeight } from '../models/checkpoint-node.ts';
import type { RecipeInput } from '../recipe/schema.ts';
import { lora } from '../tuning/lora.ts';
import type { ClientsOrder } from './bench-rounds-clients.ts';
import type { CoordinatorOrder, CoordinatorReport } from './bench-rounds-coordinator.ts';
import { renderTable } from './style.ts';

export interface RoundsBenchOptions {
  readonly clients: number;
  readonly megabytes: number;
  readonly rounds: number;
  readonly durability: 'full' | 'none';
  readonly repeat: number;
  readonly json?: true;
}

interface Measured {
  readonly roundMs: number;
  readonly updateBytes: number;
  readonly coordinatorRssMB: number;
  readonly coordinatorPeakRssMB: number;
}

const MODEL = fileURLToPath(new URL('../../assets/seed-lm-7m', import.meta.url));

export async function benchRounds(options: RoundsBenchOptions): Promise<void> {
  const { clients, rounds, durability, repeat } = options;
  const rank = await rankFor(options.megabytes * 1e6);
  const runs: Measured[] = [];
  const loops: number[] = [];
  const flushes: number[] = [];
  for (let i = 0; i < repeat; i++) {
    const measured = await inFolder((folder) => oneRun(folder, { clients, rounds, durability, rank }));
    runs.push(measured);
    loops.push(await inFolder(async (folder) => writeAndHash(folder, clients, measured.updateBytes)));
    flushes.push(await inFolder(async (folder) => flushTime(folder)));
  }
  const roundMs = median(runs.map((run) => run.roundMs));
  const report = {
    clients,
    updateBytes: runs[0]!.updateBytes,
    rounds,
    durability,
    repeat,
    roundMs: rounded(roundMs),
    flushMs: rounded(median(flushes)),
    roundInFlushes: rounded(roundMs / median(flushes)),
    writeFlushHashMs: rounded(median(loops)),
    roundInLoops: rounded(median(runs.map((run, i) => run.roundMs / loops[i]!))),
    coordinatorRssMB: rounded(median(runs.map((run) => run.coordinatorRssMB))),
    coordinatorPeakRssMB: rounded(median(runs.map((run) => run.coordinatorPeakRssMB))),
  };
  if (options.json) console.log(JSON.stringify(report));
  else {
    const rows = Object.entries(report).map(([name, value]) => [name, String(value)]);
    console.log(renderTable({ head: ['rounds without training', ''], rows, numeric: false }));
  }
}

interface Shape {
  readonly clients: number;
  readonly rounds: number;
  readonly durability: 'full' | 'none';
  readonly rank: number;
}

async function oneRun(folder: string, { clients, rounds, durability, rank }: Shape): Promise<Measured> {
  const coordinator = child('./bench-rounds-coordinator');
  const players = child('./bench-rounds-clients');
  try {
    const recipe = benchRecipe(clients, rounds, rank);
    coordinator.send({
      store: join(folder, 'store'),
      durability,
      recipe,
      clients,
    } satisfies CoordinatorOrder);
    const ready = await message(coordinator, 'ready');
    const before = memoryOf(coordinator);
    players.send({ url: ready.url, tokens: ready.tokens } satisfies ClientsOrder);
    const over = await message(coordinator, 'over');
    const after = memoryOf(coordinator);
    if (over.reason !== null) throw new HeadwaterError('ROUND_FAILED', over.reason);
    // The first round also waits for the clients to join.
    const times = over.committedMs.slice(1).map((at, i) => at - over.committedMs[i]!);
    return {
      roundMs: median(times),
      updateBytes: await bytesAtRank(rank),
      coordinatorRssMB: before.rss,
      coordinatorPeakRssMB: after.peak,
    };
  } finally {
    players.kill('SIGKILL');
    coordinator.kill('SIGKILL');
  }
}

/** What the coordinator needs; the clients have no data and do not look. */
function benchRecipe(clients: number, rounds: number, rank: number): RecipeInput {
  return {
    name: 'bench',
    model: MODEL,
    data: { train: { files: 'none.jsonl' }, schema: { kind: 'text', column: 'text' } },
    tuning: { kind: 'lora', rank, alpha: rank, targetModules: 'all-linear' },
    training: { batchSize: 1, optimizer: { learningRate: 1e-3 } },
    federation: { rounds, localSteps: 1, cohortSize: clients, fixedPoint: { range: 1 } },
    deployment: { minOwners: clients },
    evaluation: { tasks: [{ kind: 'token-accuracy' }] },
  };
}

async function rankFor(bytes: number): Promise<number> {
  const [one, two] = [await bytesAtRank(1), await bytesAtRank(2)];
  return Math.max(1, Math.round((bytes - one) / (two - one)) + 1);
}

async function bytesAtRank(rank: number): Promise<number> {
  const model = await openModel(MODEL);
  const tuning = lora.bind(
    lora.options.parse({ rank, alpha: rank, targetModules: 'all-linear' }),
    model.definition,
  );
  return encodedBytes(await tuning.init(rng('bench'), (name) => readWeight(model.weights, name)));
}

/** Seconds of nothing but writing, flushing and hashing what the clients send in one round. */
function writeAndHash(folder: string, clients: number, bytes: number): number {
  const update = new Uint8Array(bytes).fill(7);
  const startedMs = performance.now();
  for (let i = 0; i < clients; i++) {
    const file = openSync(join(folder, `update-${i}`), 'w');
    writeSync(file, update);
    fsyncSync(file);
    closeSync(file);
    createHash('sha256').update(update).digest('hex');
  }
  return performance.now() - startedMs;
}

/** Of a small append, as journals make them. */
function flushTime(folder: string): number {
  const file = openSync(join(folder, 'appended'), 'w');
  const times = Array.from({ length: 50 }, () => {
    const startedMs = performance.now();
    writeSync(file, new Uint8Array(4096));
    fsyncSync(file);
    return performance.now() - startedMs;
  });
  closeSync(file);
  return median(times);
}

function child(path: string): ChildProcess {
  return fork(fileURLToPath(siblingModule(import.meta.url, path)), {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
}

function message<T extends CoordinatorReport['type']>(
  from: ChildProcess,
  type: T,
): Promise<Extract<CoordinatorReport, { type: T }>> {
  return new Promise((resolve, reject) => {
    from.once('exit', () =>
      reject(new HeadwaterError('RUNTIME_FAILED', 'the coordinator of the benchmark ended early')),
    );
    from.on('message', (report) => {
      const { type: got } = report as CoordinatorReport;
      if (got === type) resolve(report as Extract<CoordinatorReport, { type: T }>);
    });
  });
}

/** In MB; the peak counts from the first look on where the system lets it be reset (Linux). */
function memoryOf({ pid }: ChildProcess): { readonly rss: number; readonly peak: number } {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    const field = (name: string) =>
      Number(new RegExp(`${name}:\\s+(\\d+) kB`).exec(status)?.[1] ?? Number.NaN) / 1024;
    writeFileSync(`/proc/${pid}/clear_refs`, '5');
    return { rss: field('VmRSS'), peak: field('VmHWM') };
  } catch {
    return { rss: Number.NaN, peak: Number.NaN };
  }
}

/** In the current folder: its disk is the one that matters, /tmp may be memory. */
async function inFolder<T>(body: (folder: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(resolve('.headwater-bench-'));
  try {
    return await body(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

function rounded(value: number): number {
  return Number(value.toPrecision(4));
}
