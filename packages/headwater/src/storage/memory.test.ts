import { blobsConformance } from '../../test/support/blobs-conformance.ts';
import { journalConformance } from '../../test/support/journal-conformance.ts';
import { storeConformance } from '../../test/support/store-conformance.ts';
import { memoryStore } from './memory.ts';
import { memoryBlobs } from './memory-blobs.ts';

let nowMs = 1_000_000;
let store = memoryStore();
let blobs = memoryBlobs();
const fresh = () => {
  store = memoryStore({ clock: { nowMs: () => nowMs } });
};

journalConformance({
  name: 'memory',
  fresh,
  open: () => store.journals.open('run'),
  damage: 'memory has no bytes that others could change',
});

storeConformance({
  name: 'memory',
  fresh,
  open: async () => store,
  advance: (ms) => {
    nowMs += ms;
  },
});

blobsConformance({
  name: 'memory',
  fresh: () => {
    blobs = memoryBlobs();
  },
  open: async () => blobs,
});
