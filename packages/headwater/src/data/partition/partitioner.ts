/** A partitioner: which owner holds which example. One file each, one line in registry.ts; pure and seeded. */

import type { z } from 'zod';
import type { Rng } from '../../base/random.ts';
import type { ExampleMeta } from '../types.ts';

/** Owner → positions of its examples, ascending; every example has exactly one owner, owners are in a stable order. */
export type Partition = ReadonlyMap<string, readonly number[]>;

export interface Partitioner<O> {
  readonly id: string;
  readonly summary: string;
  readonly options: z.ZodType<O>;
  /** Throws DATA_INVALID when the data lack what it needs, OPTION_INVALID when the options cannot be met. */
  assign(examples: readonly ExampleMeta[], options: O, random: Rng): Partition;
}
