/**
 * Quantity skew: random content, unequal sizes. Shares from Dirichlet(concentration), Li et al. (2022),
 * arXiv:2102.02079, or proportional to exp(sigma · normal), the log-normal sizes of device fleets.
 */

import { z } from 'zod';
import { type Rng, shuffled } from '../../base/random.ts';
import { cut, dirichlet, normalized, partitionOf, requireEnough, sizesFrom } from './clients.ts';
import type { Partitioner } from './partitioner.ts';

const options = z.strictObject({
  clients: z.int().positive().describe('Number of owners to make.'),
  distribution: z
    .enum(['dirichlet', 'lognormal'])
    .default('dirichlet')
    .describe('How sizes vary: Dirichlet shares, or log-normal sizes as in device fleets.'),
  concentration: z
    .number()
    .positive()
    .default(1)
    .describe('For `dirichlet`: small values give unequal sizes.'),
  sigma: z
    .number()
    .nonnegative()
    .default(1)
    .describe('For `lognormal`: standard deviation of the logarithm of the size.'),
  minExamples: z.int().nonnegative().default(1).describe('Smallest number of examples an owner may hold.'),
});
type Options = z.infer<typeof options>;

export const quantity: Partitioner<Options> = {
  id: 'quantity',
  summary: 'random parts of unequal size',
  options,
  assign(examples, choice, random) {
    const { clients, minExamples } = choice;
    requireEnough(examples.length, clients, minExamples);
    const shared = examples.length - clients * minExamples;
    const sizes = sizesFrom(shares(choice, random), shared).map((size) => size + minExamples);
    return partitionOf(cut(shuffled([...examples.keys()], random), sizes));
  },
};

function shares({ clients, distribution, concentration, sigma }: Options, random: Rng): number[] {
  if (distribution === 'dirichlet') return dirichlet(clients, concentration, random);
  return normalized(Array.from({ length: clients }, () => Math.exp(sigma * random.normal())));
}
