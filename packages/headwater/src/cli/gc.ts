/** `headwater gc`: what the store of coordinators that are not running may forget. Running ones clean up on their way. */

import { Command } from 'commander';
import { systemClock } from '../base/clock.ts';
import { openStorage } from '../coordinator/open-storage.ts';
import { applyRetention, type Forgotten, refuseWhileLed } from '../coordinator/upkeep/retention.ts';
import { type StoreOptions, withStoreOptions } from './check-store.ts';
import { jsonOption, nonNegative } from './options.ts';

interface GcOptions extends StoreOptions {
  readonly keepDays?: number;
  readonly json?: true;
}

const DAY_MS = 24 * 3600 * 1000;

export function gcCommand(): Command {
  const command = new Command('gc')
    .description('delete what no run needs any more; the coordinators must be stopped')
    .option(
      '--keep-days <n>',
      'also forget runs that ended longer ago; their results in runs/ stay',
      nonNegative,
    )
    .addOption(jsonOption());
  return withStoreOptions(command).action(collectGarbage);
}

async function collectGarbage({ keepDays, json, ...places }: GcOptions): Promise<void> {
  const { store, blobs, exclusive, close } = await openStorage(places);
  try {
    if (!exclusive) await refuseWhileLed(store);
    const collect = async (orphans: readonly string[]) => {
      for (const orphan of orphans) await blobs.delete(orphan);
    };
    const keepEndedMs = keepDays === undefined ? null : keepDays * DAY_MS;
    const parts = { store, blobs, clock: systemClock, collect };
    show(await applyRetention(parts, { keepEndedMs, uploadGraceMs: DAY_MS }), json);
  } finally {
    await close();
  }
}

function show({ runs, uploads, orphans }: Forgotten, json?: true): void {
  if (json) {
    console.log(JSON.stringify({ runs, uploads, orphans }));
    return;
  }
  console.log(`runs forgotten      ${runs.length === 0 ? 'none' : runs.join(', ')}`);
  console.log(`uploads dropped     ${uploads}`);
  console.log(`blobs deleted       ${orphans ?? 'none: a run is aggregating'}`);
}
