/** Shuffled and dealt evenly: sizes differ by at most one. */

import { z } from 'zod';
import { shuffled } from '../../base/random.ts';
import { cut, partitionOf, requireEnough, sizesFrom } from './clients.ts';
import type { Partitioner } from './partitioner.ts';

const options = z.strictObject({ clients: z.int().positive().describe('Number of owners to make.') });

export const iid: Partitioner<z.infer<typeof options>> = {
  id: 'iid',
  summary: 'equal random parts',
  options,
  assign(examples, { clients }, random) {
    requireEnough(examples.length, clients, 1);
    const sizes = sizesFrom(Array(clients).fill(1 / clients), examples.length);
    return partitionOf(cut(shuffled([...examples.keys()], random), sizes));
  },
};
