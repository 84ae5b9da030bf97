/** `headwater bench memory`: peak memory, speed and loss of LoRA training by how frozen weights are stored, with and without recomputation. */

import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { HeadwaterError } from '../base/errors.ts';
import { type LossReport, lossesByStorage } from './bench-memory-loss.ts';
import { benchModel, type Storage } from './bench-model.ts';
import { inFolder } from './bench-processes.ts';
import type { StepOptions } from './bench-train-options.ts';
import { renderTable } from './style.ts';

export interface MemoryBenchOptions extends StepOptions {
  readonly storages: readonly Storage[];
  /** Optimizer steps after which losses are compared; 0: they are not. */
  readonly lossSteps: number;
  readonly json?: true;
}

interface Case {
  readonly storage: Storage;
  readonly recompute: boolean;
  readonly peakRssMB: number;
  readonly tokensPerSecond: number;
}

export async function benchMemory(options: MemoryBenchOptions): Promise<void> {
  const cases = await inFolder((folder) => measured(options, folder));
  const losses = options.lossSteps === 0 ? undefined : await lossesByStorage(options);
  if (options.json) console.log(JSON.stringify({ ...options, cases, losses }));
  else show(cases, losses, options);
}

/** One process a case, because a peak is never taken back; made-up weights live in `folder`. */
async function measured(options: MemoryBenchOptions, folder: string): Promise<Case[]> {
  const home = process.env.XDG_CACHE_HOME;
  process.env.XDG_CACHE_HOME = folder;
  try {
    return await casesOf(options);
  } finally {
    if (home === undefined) delete process.env.XDG_CACHE_HOME;
    else process.env.XDG_CACHE_HOME = home;
  }
}

async function casesOf(options: MemoryBenchOptions): Promise<Case[]> {
  const cases: Case[] = [];
  for (const storage of options.storages) {
    // Written here, so that no measured process has to.
    await benchModel(undefined, { shapes: options.shapes, storage });
    for (const recompute of [false, true]) cases.push(await measure(options, storage, recompute));
  }
  return cases;
}

const DOOR = join(import.meta.dirname, '../../bin/headwater.js');

async function measure(options: MemoryBenchOptions, storage: Storage, recompute: boolean): Promise<Case> {
  const { shapes, batch, seq, rank, targets, threads, steps, clock } = options;
  const given = { shapes, storage, batch, 'micro-batch': batch, seq, rank, targets, threads, steps, clock };
  const args = Object.entries(given).flatMap(([name, value]) => [`--${name}`, String(value)]);
  const flags = ['--no-prepack', '--json', ...(recompute ? ['--recompute'] : [])];
  const run = promisify(execFile)(process.execPath, [DOOR, 'bench', 'train', ...args, ...flags]);
  const { stdout } = await run.catch((cause) => {
    throw new HeadwaterError('RUNTIME_FAILED', `bench train --storage ${storage}: ${cause.stderr}`, {
      cause,
    });
  });
  const { peakRssMB, tokensPerSecond } = JSON.parse(stdout) as Case;
  return { storage, recompute, peakRssMB, tokensPerSecond };
}

function show(cases: readonly Case[], losses: LossReport[] | undefined, options: MemoryBenchOptions): void {
  const [first] = cases;
  const rows = cases.map(({ storage, recompute, peakRssMB, tokensPerSecond }) => [
    storage,
    recompute ? 'yes' : 'no',
    String(peakRssMB),
    ratio(peakRssMB, first!.peakRssMB),
    tokensPerSecond.toFixed(1),
    ratio(tokensPerSecond, first!.tokensPerSecond),
  ]);
  const speed = options.clock === 'cpu' ? 'tokens/CPU s' : 'tokens/s';
  const head = ['storage', 'recompute', 'peak RSS MB', 'of the first', speed, 'of the first'];
  console.log(`${options.shapes} shapes, LoRA rank ${options.rank}, ${options.batch}×${options.seq}\n`);
  console.log(renderTable({ head, rows }));
  if (losses === undefined) return;
  console.log(
    `\nseed-lm-7m after ${options.lossSteps} steps, nats per supervised token of unseen examples\n`,
  );
  const lossRows = losses.map(({ storage, before, after, difference }) => [
    storage,
    before.toFixed(4),
    after.toFixed(4),
    `${difference < 0 ? '−' : '+'}${Math.abs(difference).toFixed(4)}`,
  ]);
  console.log(renderTable({ head: ['storage', 'before', 'after', 'difference'], rows: lossRows }));
}

const ratio = (value: number, of: number) => (value / of).toFixed(2);
