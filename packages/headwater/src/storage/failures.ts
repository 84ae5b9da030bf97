/** How storage says that the outside world failed: one place for codes and advice. It stores nothing. */

import { HeadwaterError } from '../base/errors.ts';

const ADVICE: Record<string, string> = {
  ENOSPC:
    'The disk is full. Free some space; the run is intact up to its last event and continues with --resume.',
  EDQUOT: 'The disk quota is used up. Free some space; the run continues with --resume.',
  EACCES: 'There is no permission to do this. Choose another folder with --out, or change the permissions.',
  EPERM: 'There is no permission to do this. Choose another folder with --out, or change the permissions.',
  EROFS: 'The file system is read-only. Choose another folder with --out.',
  ENOTDIR: 'A part of the path is a file, not a folder. Choose another folder with --out.',
  EMFILE: 'Too many files are open. Raise the limit (ulimit -n).',
};

/** STORAGE_FAILED from a failed file-system call. */
export function storageFailed(action: string, path: string, cause: unknown): HeadwaterError {
  const code = (cause as NodeJS.ErrnoException).code ?? '';
  return new HeadwaterError('STORAGE_FAILED', `cannot ${action}: ${(cause as Error).message}`, {
    where: path,
    hint: ADVICE[code] ?? 'Check the disk and the permissions of the folder.',
    cause,
  });
}

/** RUN_CORRUPT: bytes on disk are not what was written. */
export function runCorrupt(message: string, path: string, cause?: unknown): HeadwaterError {
  return new HeadwaterError('RUN_CORRUPT', message, {
    where: path,
    hint: 'Restore the run folder from a copy, or start the run again in a new folder (--out).',
    cause,
  });
}
