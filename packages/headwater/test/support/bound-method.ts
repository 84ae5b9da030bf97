/** A method of the registry with its default options. */

import { type BoundMethod, bindMethod, type Method } from '../../src/federation/method.ts';
import { methods } from '../../src/federation/methods/registry.ts';

export function boundMethod(id: string): BoundMethod {
  const record = methods.get(id) as Method<unknown>;
  return bindMethod(record, record.options.parse({}));
}
