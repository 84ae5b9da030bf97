import { blobsConformance } from '../../test/support/blobs-conformance.ts';
import { journalConformance } from '../../test/support/journal-conformance.ts';
import type { Journal } from './journal.ts';
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
