/** Errors on their way to another thread, which gets plain data only. */

import { type ErrorCode, HeadwaterError, messageOf } from './errors.ts';
import { isOutOfMemory, outOfMemory } from './out-of-memory.ts';

export interface SentError {
  readonly code: ErrorCode | null;
  readonly message: string;
  readonly hint: string | null;
  readonly where: string | null;
  readonly stack: string | null;
}

/** `what` ran out of memory, if it did. */
export function sent(given: unknown, what: string): SentError {
  const error = given instanceof HeadwaterError || !isOutOfMemory(given) ? given : outOfMemory(what, given);
  const known = error instanceof HeadwaterError ? error : undefined;
  return {
    code: known?.code ?? null,
    message: messageOf(error),
    hint: known?.hint ?? null,
    where: known?.where ?? null,
    stack: error instanceof Error ? (error.stack ?? null) : null,
  };
}

export function received({ code, message, hint, where, stack }: SentError): Error {
  const error =
    code === null
      ? new Error(message)
      : new HeadwaterError(code, message, {
          ...(hint === null ? {} : { hint }),
          ...(where === null ? {} : { where }),
        });
  if (stack !== null) error.stack = stack;
  return error;
}
