/** `headwater check-store`: reads everything that the runs of a store need, and says whether it is whole. */

import { Command } from 'commander';
import { openStorage } from '../coordinator/open-storage.ts';
import { checkStore } from '../coordinator/upkeep/check-store.ts';
import { showStore } from './backup.ts';
import { jsonOption } from './options.ts';

export interface StoreOptions {
  readonly store: string;
  readonly blobs?: string;
}

export function withStoreOptions(command: Command): Command {
  return command
    .requiredOption('--store <place>', 'folder or postgres://…, as given to `headwater serve`')
    .option('--blobs <place>', 'folder or s3://…; default: in the folder of the store');
}

export function checkStoreCommand(): Command {
  const command = new Command('check-store')
    .description('replay every journal of a store and read every blob that its runs need')
    .addOption(jsonOption());
  return withStoreOptions(command).action(check);
}

async function check({ json, ...places }: StoreOptions & { readonly json?: true }): Promise<void> {
  const { store, blobs, close } = await openStorage(places);
  try {
    showStore(await checkStore(store, blobs), places.store, json);
  } finally {
    await close();
  }
}
