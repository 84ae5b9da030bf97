/** For tests of errors: the HeadwaterError that a promise rejects with. Anything else fails the test. */

import { HeadwaterError } from '../../src/base/errors.ts';

export async function rejection(promise: Promise<unknown>): Promise<HeadwaterError> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof HeadwaterError) return error;
    throw error;
  }
  throw new Error('expected an error, but it succeeded');
}
