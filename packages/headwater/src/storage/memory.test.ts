import { blobsConformance } from '../../test/support/blobs-conformance.ts';
import { journalConformance } from '../../test/support/journal-conformance.ts';
import type { Journal } from './journal.ts';
import { memoryJournal } from './memory.ts';
import { memoryBlobs } from './memory-blobs.ts';

let journal: Journal = memoryJournal();
journalConformance({
  name: 'memory',
  open: () => journal,
  fresh: () => {
    journal = memoryJournal();
  },
});
blobsConformance('memory', async () => memoryBlobs());
