/**
 * `headwater bench rounds`: how long a round of a deployment takes when nobody trains: a coordinator and clients as they are,
 * in processes of their own on this machine, beside a loop that only writes, flushes and hashes the same bytes.
 */

import { createHash } from 'node:crypto';
import { closeSync, fsyncSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { HeadwaterError } from '../base/errors.ts';
import { median } from '../base/median.ts';
import { childOf, inFolder, memoryOf, messageFrom } from './bench-processes.ts';
import { type BenchTuning, benchRecipe, tuningFor } from './bench-recipe.ts';
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

export async function benchRounds(options: RoundsBenchOptions): Promise<void> {
  const { clients, rounds, durability, repeat } = options;
  const tuning = await tuningFor(options.megabytes * 1e6);
  const runs: Measured[] = [];
  const loops: number[] = [];
  const flushes: number[] = [];
  for (let i = 0; i < repeat; i++) {
    const measured = await inFolder((folder) => oneRun(folder, { clients, rounds, durability, tuning }));
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
  readonly tuning: BenchTuning;
}

const MOST_PROCESSES = 4;

async function oneRun(folder: string, { clients, rounds, durability, tuning }: Shape): Promise<Measured> {
  const coordinator = childOf('./bench-rounds-coordinator');
  // As on machines of their own; many of them share a few processes.
  const players = Array.from({ length: Math.min(clients, MOST_PROCESSES) }, () =>
    childOf('./bench-rounds-clients'),
  );
  try {
    const recipe = benchRecipe({ clients, cohort: clients, rounds }, tuning);
    coordinator.send({
      store: join(folder, 'store'),
      durability,
      recipe,
      clients,
    } satisfies CoordinatorOrder);
    const ready = await messageFrom<CoordinatorReport, 'ready'>(coordinator, 'ready');
    const before = memoryOf(coordinator);
    for (const [i, player] of players.entries()) {
      const tokens = ready.tokens.filter((_, j) => j % players.length === i);
      player.send({ url: ready.url, tokens } satisfies ClientsOrder);
    }
    const over = await messageFrom<CoordinatorReport, 'over'>(coordinator, 'over');
    const after = memoryOf(coordinator);
    if (over.reason !== null) throw new HeadwaterError('ROUND_FAILED', over.reason);
    // The first round also waits for the clients to join.
    const times = over.committedMs.slice(1).map((at, i) => at - over.committedMs[i]!);
    return {
      roundMs: median(times),
      updateBytes: tuning.bytes,
      coordinatorRssMB: before.rss,
      coordinatorPeakRssMB: after.peak,
    };
  } finally {
    for (const player of players) player.kill('SIGKILL');
    coordinator.kill('SIGKILL');
  }
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

function rounded(value: number): number {
  return Number(value.toPrecision(4));
}
