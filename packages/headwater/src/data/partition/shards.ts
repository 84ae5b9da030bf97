/**
 * Pathological label skew: sorted by label, cut into clients × shardsPerClient shards, dealt at random; each client has
 * few labels. McMahan et al. (2017), arXiv:1602.05629, §3.
 */

import { z } from 'zod';
import { shuffled } from '../../base/random.ts';
import { cut, partitionOf, requireEnough, sizesFrom } from './clients.ts';
import { byLabel } from './labels.ts';
import type { Partitioner } from './partitioner.ts';

const options = z.strictObject({
  clients: z.int().positive().describe('Number of owners to make.'),
  shardsPerClient: z.int().positive().default(2).describe('Shards of the label-sorted data per owner.'),
});

export const shards: Partitioner<z.infer<typeof options>> = {
  id: 'shards',
  summary: 'few labels per client: shards of the label-sorted data',
  options,
  assign(examples, { clients, shardsPerClient }, random) {
    const count = clients * shardsPerClient;
    requireEnough(examples.length, clients, shardsPerClient);
    const sorted = [...byLabel(examples).values()].flatMap((positions) => shuffled(positions, random));
    const pieces = cut(sorted, sizesFrom(Array(count).fill(1 / count), examples.length));
    const dealt = shuffled(pieces, random);
    const held = Array.from({ length: clients }, (_, client) =>
      dealt.slice(client * shardsPerClient, (client + 1) * shardsPerClient).flat(),
    );
    return partitionOf(held);
  },
};
