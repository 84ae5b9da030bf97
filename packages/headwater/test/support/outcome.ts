/** For tests of errors: the HeadwaterError of what fails. Anything else fails the test. */

import { HeadwaterError } from '../../src/base/errors.ts';

/** The HeadwaterError that a promise rejects with. */
export async function rejection(promise: Promise<unknown>): Promise<HeadwaterError> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof HeadwaterError) return error;
    throw error;
  }
  throw new Error('expected an error, but it succeeded');
}

/** The HeadwaterError that a function throws. */
export function refusal(run: () => unknown): HeadwaterError {
  try {
    run();
  } catch (error) {
    if (error instanceof HeadwaterError) return error;
    throw error;
  }
  throw new Error('expected an error, but it succeeded');
}
