/** Turns what the operating system says (`ENOSPC`, `EACCES` …) into a HeadwaterError. It does no I/O itself. */

import { type ErrorCode, HeadwaterError, messageOf } from './errors.ts';

const ADVICE: Readonly<Record<string, { readonly what: string; readonly hint: string }>> = {
  ENOSPC: {
    what: 'the disk is full',
    hint: 'Free space or choose another folder, then run the command again.',
  },
  EDQUOT: {
    what: 'the disk quota is used up',
    hint: 'Free space or choose another folder, then run the command again.',
  },
  EACCES: { what: 'permission denied', hint: 'Check the owner and mode of the file and of its folders.' },
  EPERM: {
    what: 'operation not permitted',
    hint: 'Check the owner and mode of the file and of its folders.',
  },
  EROFS: { what: 'the file system is read-only', hint: 'Choose a folder that can be written.' },
  ENOENT: { what: 'no such file or folder', hint: 'Check the path.' },
  ENOTDIR: { what: 'a part of the path is no folder', hint: 'Check the path.' },
  EISDIR: { what: 'it is a folder, a file was expected', hint: 'Check the path.' },
  EMFILE: { what: 'too many open files', hint: 'Raise the limit (ulimit -n).' },
  EIO: { what: 'the device reports an input/output error', hint: 'Check the disk.' },
};

/** `code` of a Node error, '' for anything else. */
export function systemErrorCode(cause: unknown): string {
  const code = (cause as { code?: unknown } | undefined)?.code;
  return typeof code === 'string' ? code : '';
}

/** STORAGE_FAILED (or another code) for a failed file operation; a HeadwaterError passes through unchanged. */
export function storageError(
  cause: unknown,
  action: string,
  where: string,
  code: ErrorCode = 'STORAGE_FAILED',
): HeadwaterError {
  if (cause instanceof HeadwaterError) return cause;
  const advice = ADVICE[systemErrorCode(cause)];
  const what = advice?.what ?? messageOf(cause);
  return new HeadwaterError(code, `cannot ${action}: ${what}`, {
    where,
    cause,
    ...(advice === undefined ? {} : { hint: advice.hint }),
  });
}
