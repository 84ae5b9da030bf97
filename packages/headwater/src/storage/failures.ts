/** How storage says that a run is damaged: one place for the code and the advice. It stores nothing. */

import { HeadwaterError } from '../base/errors.ts';

/** RUN_CORRUPT: bytes on disk are not what was written. */
export function runCorrupt(message: string, path: string, cause?: unknown): HeadwaterError {
  return new HeadwaterError('RUN_CORRUPT', message, {
    where: path,
    hint: 'Restore the run folder from a copy, or start the run again in a new folder (--out).',
    cause,
  });
}
