/** How storage says that a run is damaged or belongs to another writer: one place for codes and advice. It stores nothing. */

import { HeadwaterError } from '../base/errors.ts';
import type { Fence } from './store.ts';

/** RUN_CORRUPT: bytes on disk are not what was written. */
export function runCorrupt(message: string, path: string, cause?: unknown): HeadwaterError {
  return new HeadwaterError('RUN_CORRUPT', message, {
    where: path,
    hint: 'Restore the run folder from a copy, or start the run again in a new folder (--out).',
    cause,
  });
}

export function missingEntry(seq: number, where: string): HeadwaterError {
  return runCorrupt(`journal entry ${seq} is missing`, where);
}

export function removedJournal(run: string, where: string): HeadwaterError {
  return runCorrupt(`the journal of run "${run}" was removed`, where);
}

/** RUN_CORRUPT: a task is a pure function, so its results are equal wherever it was done. */
export function differentResult(id: string, where: string): HeadwaterError {
  return new HeadwaterError('RUN_CORRUPT', `task "${id}" gave two different results`, {
    where,
    hint: 'Compare the versions of Headwater and the processors of the workers; they must be the same.',
  });
}

/** RUN_LOCKED for a writer that decided on an older state than the journal's. */
export function staleWriter(expectedSeq: number, lastSeq: number, where: string): HeadwaterError {
  return new HeadwaterError(
    'RUN_LOCKED',
    `another process wrote to this run: expected ${expectedSeq} journal entries, found ${lastSeq}`,
    { where, hint: 'Let one process write a run. Wait for the other one, then continue with --resume.' },
  );
}

/** RUN_LOCKED for a writer whose lease another process has taken over. */
export function lostLease(fence: Fence, where: string): HeadwaterError {
  return new HeadwaterError(
    'RUN_LOCKED',
    `"${fence.holder}" lost the lease "${fence.key}" (epoch ${fence.epoch}): another process has taken over`,
    { where, hint: 'Nothing was written. The other process goes on with the run.' },
  );
}
