/** The partitioners that come with Headwater, by id, and the one call that uses them. */

import { HeadwaterError } from '../../base/errors.ts';
import { rng } from '../../base/random.ts';
import { didYouMean } from '../../base/suggest.ts';
import type { ExampleMeta } from '../types.ts';
import { dirichlet } from './dirichlet.ts';
import { iid } from './iid.ts';
import { natural } from './natural.ts';
import type { Partition, Partitioner } from './partitioner.ts';
import { quantity } from './quantity.ts';
import { shards } from './shards.ts';

export const partitioners: ReadonlyMap<string, Partitioner<unknown>> = new Map<string, Partitioner<unknown>>(
  [natural, iid, dirichlet, quantity, shards].map((item) => [item.id, item as Partitioner<unknown>]),
);

/** The recipe's `partition`: `{ kind: 'dirichlet', …options }`. */
export interface PartitionChoice {
  readonly kind: string;
  readonly [option: string]: unknown;
}

/**
 * Who holds what: a pure function of examples, choice and seed. Owners without examples do not occur.
 * Throws OPTION_INVALID (unknown partitioner, options), DATA_INVALID (no owner or label where one is needed).
 */
export function partitionExamples(
  examples: readonly { readonly meta: ExampleMeta }[],
  { kind, ...rawOptions }: PartitionChoice,
  seed: number,
  registry: ReadonlyMap<string, Partitioner<unknown>> = partitioners,
): Partition {
  const partitioner = registry.get(kind);
  if (partitioner === undefined) {
    const known = didYouMean(kind, [...registry.keys()]);
    throw new HeadwaterError('OPTION_INVALID', `unknown partition "${kind}"; ${known}`);
  }
  const parsed = partitioner.options.safeParse(rawOptions);
  if (!parsed.success) {
    const issues = parsed.error.issues.map(({ path, message }) => [...path, message].join(': '));
    throw new HeadwaterError('OPTION_INVALID', `partition "${kind}": ${issues.join('; ')}`);
  }
  const metas = examples.map(({ meta }) => meta);
  const assigned = partitioner.assign(metas, parsed.data, rng(seed, 'partition'));
  return new Map([...assigned].filter(([, positions]) => positions.length > 0));
}
