/** Mistakes in what a client remembers between rounds. */

import type { ClientStore } from '../../src/client/ports.ts';
import type { Plant } from '../plant.ts';

interface Memory {
  readonly kept: unknown;
  readonly pending: { readonly kept: unknown } | null;
}

const KEY = 'memory';
const read = (bytes: Uint8Array) => JSON.parse(Buffer.from(bytes).toString('utf8')) as Memory;
const written = (memory: Memory) => new Uint8Array(Buffer.from(JSON.stringify(memory)));

export const clientPlants: Readonly<Record<string, Plant>> = {
  'kept-too-early': {
    what: 'what a training leaves is current before its receipt',
    clientStore: (store): ClientStore => ({
      ...store,
      save(key, value) {
        if (key !== KEY) return store.save(key, value);
        const memory = read(value);
        return store.save(key, written({ ...memory, kept: memory.pending?.kept ?? memory.kept }));
      },
    }),
  },

  'pending-forgotten': {
    what: 'a restarted client does not know that it waits for a receipt',
    clientStore: (store): ClientStore => ({
      ...store,
      async load(key) {
        const bytes = await store.load(key);
        return key === KEY && bytes !== undefined ? written({ ...read(bytes), pending: null }) : bytes;
      },
    }),
  },
};
