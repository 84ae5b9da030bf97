/** `headwater worker`: does aggregation tasks for coordinators that share a PostgreSQL store. It keeps nothing itself. */

import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { Command, Option } from 'commander';
import { systemTimers } from '../base/clock.ts';
import { HeadwaterError } from '../base/errors.ts';
import { runAggregationWorker } from '../coordinator/aggregation/worker.ts';
import { openStorage } from '../coordinator/open-storage.ts';
import { registriesWith } from '../jobs/plugins-node.ts';
import { isDatabaseAddress } from '../storage/postgres/address.ts';
import { interruptSignal } from './interrupt.ts';
import { openLog } from './log.ts';
import { collect } from './options.ts';

interface WorkerOptions {
  readonly store: string;
  readonly blobs: string;
  readonly name?: string;
  readonly plugin: readonly string[];
}

export function workerCommand(): Command {
  return new Command('worker')
    .description('aggregate for coordinators that share a store; any number of workers may run')
    .addOption(
      new Option('--store <url>', 'postgres://…, as given to `headwater serve`')
        .env('HEADWATER_STORE')
        .makeOptionMandatory(),
    )
    .addOption(
      new Option('--blobs <place>', 's3://… or a shared folder, as given to `headwater serve`')
        .env('HEADWATER_BLOBS')
        .makeOptionMandatory(),
    )
    .option('--name <name>', 'for logs; workers of one store need different names')
    .option('--plugin <file>', 'module with compressions that recipes use; may be repeated', collect, [])
    .action(work);
}

async function work({ store: at, blobs: place, name = ownName(), plugin }: WorkerOptions): Promise<void> {
  if (!isDatabaseAddress(at))
    throw new HeadwaterError('OPTION_INVALID', 'workers share a store, and a folder belongs to one process', {
      hint: 'Give --store postgres://…; a coordinator with a folder aggregates by itself.',
    });
  const { compressions } = await registriesWith(plugin);
  const log = await openLog();
  const { store, blobs, close } = await openStorage({ store: at, blobs: place });
  const interrupt = interruptSignal();
  try {
    log.info('worker-started', { worker: name });
    const parts = { store, blobs, compressions, timers: systemTimers, log, name };
    const done = await runAggregationWorker(parts, interrupt.signal);
    log.info('worker-stopped', { worker: name, done });
  } finally {
    interrupt.release();
    await close();
  }
}

function ownName(): string {
  return `${hostname()}-${process.pid}-${randomBytes(3).toString('hex')}`;
}
