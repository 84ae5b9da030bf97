/** `headwater gc`: what the store of a coordinator that is not running may forget. A running one cleans up by itself. */

import { existsSync } from 'node:fs';
import { Command } from 'commander';
import { systemClock } from '../base/clock.ts';
import { HeadwaterError } from '../base/errors.ts';
import { applyRetention, type Forgotten } from '../coordinator/retention.ts';
import { storePaths } from '../coordinator/store-folder.ts';
import { openFileBlobs } from '../storage/file-blobs.ts';
import { acquireRunLock } from '../storage/run-lock.ts';
import { openSqliteStore } from '../storage/sqlite-store.ts';
import { jsonOption, nonNegative } from './options.ts';

interface GcOptions {
  readonly store: string;
  readonly keepDays?: number;
  readonly json?: true;
}

const DAY_MS = 24 * 3600 * 1000;

export function gcCommand(): Command {
  return new Command('gc')
    .description('delete what no run of a coordinator’s store needs any more')
    .requiredOption('--store <folder>', 'the store, as given to `headwater serve`')
    .option(
      '--keep-days <n>',
      'also forget runs that ended longer ago; their results in runs/ stay',
      nonNegative,
    )
    .addOption(jsonOption())
    .action(collectGarbage);
}

async function collectGarbage({ store: folder, keepDays, json }: GcOptions): Promise<void> {
  const paths = storePaths(folder);
  if (!existsSync(paths.database))
    throw new HeadwaterError('RUN_NOT_FOUND', 'there is no store of a coordinator in this folder', {
      where: folder,
      hint: 'Give the folder that `headwater serve --store` uses.',
    });
  const lock = acquireRunLock(paths.lock);
  const store = await openSqliteStore(paths.database);
  try {
    const blobs = await openFileBlobs(paths.blobs);
    const collect = async (orphans: readonly string[]) => {
      for (const orphan of orphans) await blobs.delete(orphan);
    };
    const keepEndedMs = keepDays === undefined ? null : keepDays * DAY_MS;
    const parts = { store, blobs, clock: systemClock, collect };
    show(await applyRetention(parts, { keepEndedMs, uploadGraceMs: DAY_MS }), json);
  } finally {
    await store.close();
    lock.release();
  }
}

function show({ runs, uploads, orphans }: Forgotten, json?: true): void {
  if (json) console.log(JSON.stringify({ runs, uploads, orphans }));
  else {
    console.log(`runs forgotten      ${runs.length === 0 ? 'none' : runs.join(', ')}`);
    console.log(`uploads dropped     ${uploads}`);
    console.log(`blobs deleted       ${orphans ?? 'none: a run is aggregating'}`);
  }
}
