/**
 * Label skew: each label's examples are spread over the clients by shares from Dirichlet(concentration); small
 * concentrations give each client few labels. Hsu, Qi, Brown (2019), arXiv:1909.06335 (there α); drawn again until
 * every client has minExamples, as in Li et al. (2022), arXiv:2102.02079.
 */

import { z } from 'zod';
import { HeadwaterError } from '../../base/errors.ts';
import { type Rng, shuffled } from '../../base/random.ts';
import { cut, dirichlet as dirichletShares, partitionOf, requireEnough, sizesFrom } from './clients.ts';
import { byLabel } from './labels.ts';
import type { Partitioner } from './partitioner.ts';

const MAX_DRAWS = 100;

const options = z.strictObject({
  clients: z.int().positive().describe('Number of owners to make.'),
  concentration: z
    .number()
    .positive()
    .describe('Small values give each owner few labels, large ones all in equal shares.'),
  minExamples: z.int().nonnegative().default(1).describe('Smallest number of examples an owner may hold.'),
});

export const dirichlet: Partitioner<z.infer<typeof options>> = {
  id: 'dirichlet',
  summary: 'label skew by Dirichlet(concentration) shares',
  options,
  assign(examples, { clients, concentration, minExamples }, random) {
    requireEnough(examples.length, clients, minExamples);
    const groups = byLabel(examples);
    for (let draw = 0; draw < MAX_DRAWS; draw++) {
      const held = spread(groups, clients, concentration, random);
      if (held.every((positions) => positions.length >= minExamples)) return partitionOf(held);
    }
    throw new HeadwaterError(
      'OPTION_INVALID',
      `in ${MAX_DRAWS} draws some client always had fewer than ${minExamples} examples`,
      { hint: 'Raise partition.concentration, or lower partition.clients or partition.minExamples.' },
    );
  },
};

function spread(
  groups: ReadonlyMap<string, readonly number[]>,
  clients: number,
  concentration: number,
  random: Rng,
): number[][] {
  const held: number[][] = Array.from({ length: clients }, () => []);
  for (const positions of groups.values()) {
    const sizes = sizesFrom(dirichletShares(clients, concentration, random), positions.length);
    cut(shuffled(positions, random), sizes).forEach((piece, client) => {
      held[client]?.push(...piece);
    });
  }
  return held;
}
