/** A process of the kill matrix: the product's coordinator over a real store, dying where it is told to. */

import { randomBytes } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import { systemClock, systemTimers } from '../../src/base/clock.ts';
import { ed25519FromSeed, ed25519Verify } from '../../src/base/ed25519-node.ts';
import { createCoordinator } from '../../src/coordinator/core.ts';
import { createClientApi } from '../../src/coordinator/http/client-api.ts';
import type { Coordinator } from '../../src/coordinator/ports.ts';
import { openFileBlobs } from '../../src/storage/file-blobs.ts';
import { openPostgresStore } from '../../src/storage/postgres-store.ts';
import { openSqliteStore } from '../../src/storage/sqlite-store.ts';
import { killerFor, watched, watchedStore } from './killer.ts';
import { type KillRecipe, killWorks, RUN } from './model.ts';
import { pointNamed } from './points.ts';

export interface CoordinatorTask {
  /** SQLite file, or address of a database. */
  readonly store: string;
  readonly blobs: string;
  readonly port: number;
  readonly recipe: KillRecipe;
  readonly point: string | null;
  /** Makes the run and a token for each owner, which are printed. */
  readonly first: boolean;
}

const task = JSON.parse(process.argv[2]!) as CoordinatorTask;
const killer = killerFor(pointNamed(task.point));
const open = task.store.startsWith('postgres:') ? openPostgresStore : openSqliteStore;
const store = watchedStore(await open(task.store), killer);
const blobs = watched(await openFileBlobs(task.blobs), 'blobs', killer);
/** Shown when the row fails. */
const say = (event: string, fields?: unknown) =>
  console.error(task.point ?? 'no point', event, JSON.stringify(fields));
const coordinator = await createCoordinator({
  store,
  blobs,
  clock: systemClock,
  timers: systemTimers,
  entropy: (bytes) => new Uint8Array(randomBytes(bytes)),
  openWorks: async (_, recipe) => watched(killWorks(recipe as KillRecipe, blobs), 'works', killer),
  log: { info: say, warn: say },
  node: 'the only one',
  exclusive: true,
  signatures: { verify: ed25519Verify, signer: ed25519FromSeed },
  limits: { snapshotEvents: 5, requestBurst: 10_000 },
});
const tokens = task.first ? await makeRun(coordinator) : {};
const app = createClientApi(coordinator.handle, {
  clock: systemClock,
  corsOrigins: [],
  ready: async () => true,
});
await app.listen({ host: '127.0.0.1', port: task.port });
process.once('SIGTERM', async () => {
  await coordinator.close(2000);
  await app.close();
  await store.close();
  process.exit(0);
});
console.log(JSON.stringify({ port: (app.server.address() as AddressInfo).port, tokens }));

async function makeRun({ operator }: Coordinator): Promise<Record<string, string>> {
  await operator.createRun(RUN, task.recipe);
  const made: Record<string, string> = {};
  for (const owner of task.recipe.owners)
    made[owner] = (await operator.createToken({ run: RUN, owner, uses: 1, ttlMs: 3_600_000 })).text;
  return made;
}
