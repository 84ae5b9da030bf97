/** A process that leads a run over PostgreSQL and appends until it is refused; a test stops and continues it. */

import { HeadwaterError } from '../../src/base/errors.ts';
import { openPostgresStore } from '../../src/storage/postgres-store.ts';

const store = await openPostgresStore(process.argv[2]!);
const fence = await store.leases.acquire('run', 'first', 60_000);
const journal = await store.journals.open('r', fence!);
try {
  for (;;) {
    await journal.append(['first'], journal.lastSeq);
    console.log('appended');
  }
} catch (error) {
  console.log(error instanceof HeadwaterError ? error.code : error);
}
await store.close();
