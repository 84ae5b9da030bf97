/** A process of the kill matrix: the product's clients over HTTP and files, one or several, dying where they are told to. */

import { join } from 'node:path';
import { systemClock } from '../../src/base/clock.ts';
import { compressChunk } from '../../src/client/compress-node.ts';
import { runClient } from '../../src/client/core.ts';
import { openFileStore } from '../../src/client/file-store-node.ts';
import { nodeHasher } from '../../src/client/hasher-node.ts';
import { httpTransport } from '../../src/client/http-transport-node.ts';
import { webcryptoEntropy, webcryptoSigner, webcryptoVerify } from '../../src/client/webcrypto.ts';
import { killerFor, watched, watchedTransport } from './killer.ts';
import { type KillRecipe, killTrainer } from './model.ts';
import { pointNamed } from './points.ts';

export interface ClientsTask {
  readonly url: string;
  readonly folder: string;
  readonly recipe: KillRecipe;
  /** Token by owner. */
  readonly tokens: Readonly<Record<string, string>>;
  readonly point: string | null;
}

/** Waits are a fifth of what they are for users: a restart takes less than a second here. */
const HASTE = 5;
const timers = {
  after(ms: number, fire: () => void) {
    const timer = setTimeout(fire, ms / HASTE);
    return () => clearTimeout(timer);
  },
};

const task = JSON.parse(process.argv[2]!) as ClientsTask;
const killer = killerFor(pointNamed(task.point));

async function joinAs(owner: string, token: string): Promise<string> {
  const transport = httpTransport({ url: task.url });
  const store = await openFileStore(join(task.folder, owner));
  const { status } = await runClient(
    {
      transport: watchedTransport(transport.send, killer),
      store: watched(store, 'folder', killer),
      clock: systemClock,
      timers,
      entropy: webcryptoEntropy,
      signer: webcryptoSigner,
      verify: webcryptoVerify,
      hasher: nodeHasher,
      compress: compressChunk,
      openTrainer: async (_, name) => watched(killTrainer(task.recipe, name), 'trainer', killer),
      policy: { accepts: () => [], mayLeave: () => true },
      onEvent: (event) => console.error(owner, JSON.stringify(event)),
    },
    { token, software: 'kill matrix', signal: new AbortController().signal },
  );
  await transport.close();
  store.close();
  return status;
}

const ends = await Promise.all(Object.entries(task.tokens).map(([owner, token]) => joinAs(owner, token)));
console.log(JSON.stringify(ends));
process.exit(ends.every((status) => status === 'finished') ? 0 : 1);
