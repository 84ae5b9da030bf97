import { blobsConformance } from './blobs-conformance.ts';
import type { Journal } from './journal.ts';
import { journalConformance } from './journal-conformance.ts';
import { memoryBlobs, memoryJournal } from './memory.ts';

let journal: Journal = memoryJournal();
journalConformance({
  name: 'memory',
  open: () => journal,
  fresh: () => {
    journal = memoryJournal();
  },
});
blobsConformance('memory', async () => memoryBlobs());
