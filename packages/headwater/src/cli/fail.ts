/** How every error ends: one printer, one table of exit codes. No command prints errors itself. */

import { HeadwaterError, messageOf } from '../base/errors.ts';
import { isOutOfMemory, outOfMemory } from '../base/out-of-memory.ts';
import { paint } from './style.ts';

/** 130 is what shells give to a program stopped by Ctrl-C. */
const EXIT_INTERRUPTED = 130;
const EXIT_FAILED = 1;

export interface FailOptions {
  readonly verbose: boolean;
  readonly write?: (text: string) => void;
}

/** Prints the error to stderr and returns the exit code. */
export function fail(error: unknown, options: FailOptions): number {
  const write = options.write ?? ((text: string) => process.stderr.write(text));
  write(`${explain(error)}\n`);
  if (options.verbose) write(`${stackOf(error)}\n`);
  const interrupted = error instanceof HeadwaterError && error.code === 'INTERRUPTED';
  return interrupted ? EXIT_INTERRUPTED : EXIT_FAILED;
}

function explain(given: unknown): string {
  const unknown = !(given instanceof HeadwaterError);
  const error = unknown && isOutOfMemory(given) ? outOfMemory('this command', given) : given;
  if (error instanceof HeadwaterError) {
    const text = error.format();
    return error.code === 'INTERRUPTED'
      ? text.replace(/^INTERRUPTED {2}/, '')
      : paint.error(text, error.code);
  }
  const message = messageOf(error);
  return `${message}\n  Headwater did not expect this. Run the command again with --verbose and report what it prints.`;
}

function stackOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause === undefined ? '' : `\ncaused by ${stackOf(error.cause)}`;
  return `${error.stack ?? error.message}${cause}`;
}
