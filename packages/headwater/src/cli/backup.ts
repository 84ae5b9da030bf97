/** `headwater backup` and `headwater restore`: a coordinator's folder, copied while it serves, and brought back. */

import { Command } from 'commander';
import { formatBytes } from '../base/format.ts';
import { backUpStore, restoreStore } from '../coordinator/upkeep/backup.ts';
import type { CheckedStore } from '../coordinator/upkeep/check-store.ts';
import { jsonOption } from './options.ts';
import { renderTable } from './style.ts';

export function backupCommand(): Command {
  return new Command('backup')
    .description('copy a coordinator’s store, also while it serves, and check the copy by replay')
    .requiredOption('--store <folder>', 'the store, as given to `headwater serve`')
    .requiredOption('--out <folder>', 'new folder for the copy; it holds secrets')
    .addOption(jsonOption())
    .action(async ({ store, out, json }: { store: string; out: string; json?: true }) =>
      showStore(await backUpStore(store, out, Date.now()), `copied to ${out}`, json),
    );
}

export function restoreCommand(): Command {
  return new Command('restore')
    .description('make a coordinator’s store from a backup, after checking it')
    .argument('<backup>', 'folder that `headwater backup` wrote')
    .requiredOption('--store <folder>', 'new folder for `headwater serve`')
    .addOption(jsonOption())
    .action(async (backup: string, { store, json }: { store: string; json?: true }) =>
      showStore(await restoreStore(backup, store), `restored to ${store}`, json),
    );
}

export function showStore({ runs, blobs, bytes }: CheckedStore, done: string, json?: true): void {
  if (json) {
    console.log(JSON.stringify({ runs, blobs, bytes }));
    return;
  }
  const rows = runs.map(({ run, status, rounds, events }) => [run, status, String(rounds), String(events)]);
  if (rows.length > 0) console.log(renderTable({ head: ['run', 'status', 'rounds closed', 'events'], rows }));
  console.log(`${done}: ${runs.length} runs, ${blobs} blobs (${formatBytes(bytes)}), all checked`);
}
