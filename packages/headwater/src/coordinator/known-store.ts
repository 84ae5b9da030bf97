/**
 * A coordinator's store with its operator's key, for commands that read beside it, whether it is served or not. It makes no store, opens
 * no blobs and locks nothing.
 */

import { existsSync } from 'node:fs';
import { ed25519FromSeed, ed25519Verify } from '../base/ed25519-node.ts';
import { HeadwaterError } from '../base/errors.ts';
import { isDatabaseAddress } from '../storage/postgres/address.ts';
import { openPostgresStore } from '../storage/postgres-store.ts';
import { openSqliteStore } from '../storage/sqlite-store.ts';
import type { Store } from '../storage/store.ts';
import { type OperatorKey, openOperatorKey } from './operator-key.ts';
import { storePaths } from './store-folder.ts';

export interface KnownStore {
  /** For messages: a database's address holds a password. */
  readonly name: string;
  readonly store: Store;
  readonly key: OperatorKey;
  close(): Promise<void>;
}

/** Throws RUN_NOT_FOUND (no store, or one without a key), CONNECTION_FAILED, STORAGE_FAILED, RUN_CORRUPT. */
export async function openKnownStore(place: string): Promise<KnownStore> {
  const store = await openStore(place);
  try {
    const entropy = () => {
      throw notFound(place, 'this store has no operator key: no coordinator has used it');
    };
    const signatures = { verify: ed25519Verify, signer: ed25519FromSeed };
    const key = await openOperatorKey({ store, entropy, signatures });
    return { name: nameOf(place), store, key, close: () => store.close() };
  } catch (error) {
    await store.close();
    throw error;
  }
}

async function openStore(place: string): Promise<Store> {
  if (isDatabaseAddress(place)) return openPostgresStore(place);
  const { database } = storePaths(place);
  if (!existsSync(database)) throw notFound(place, 'there is no coordinator’s store in this folder');
  return openSqliteStore(database);
}

function notFound(place: string, what: string): HeadwaterError {
  return new HeadwaterError('RUN_NOT_FOUND', what, {
    where: nameOf(place),
    hint: 'Give what `headwater serve` was given as --store: a folder, or postgres://….',
  });
}

function nameOf(place: string): string {
  return isDatabaseAddress(place) ? 'the database' : place;
}
