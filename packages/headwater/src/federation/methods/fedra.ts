/**
 * FedRA: random allocation of blocks (Su et al., ECCV 2024, arXiv:2311.11227). In each round an owner of capacity c gets
 * ⌈c · L⌋ of the L adapted blocks (one at least), drawn uniformly, as a shallower network of its own: the other blocks pass
 * their input on. It trains and sends the adapters of its blocks; each block's A and B are averaged over those who had it,
 * by their aggregation weights (the authors' program weights all alike: `federation.weighting: uniform`). What nobody had
 * stays as it is, both factors. What lies outside of the blocks (a head) is averaged over all. c = 1 is FedIT.
 */

import { z } from 'zod';
import { rng } from '../../base/random.ts';
import type { TrainableTensor } from '../../tuning/kind.ts';
import { adaptedLayers, layerOf } from '../adapted-layers.ts';
import { standardRound } from '../local-round.ts';
import { meanOfHolders } from '../mean-of-holders.ts';
import type { Method } from '../method.ts';
import { needsRounds } from '../needs.ts';
import { levelOf, ownerLevels } from '../owner-levels.ts';
import { selectParams } from '../params.ts';

const options = z.strictObject({
  capacity: ownerLevels(z.number().positive().max(1))
    .prefault({ default: 0.5 })
    .describe('Share of the blocks that an owner has room for, in (0, 1].'),
  allocationSeed: z.int().nonnegative().default(0).describe('Another one draws other blocks.'),
});

type FedRaOptions = z.infer<typeof options>;

export const fedra: Method<FedRaOptions> = {
  id: 'fedra',
  summary: 'each owner trains some blocks, drawn anew in each round, as a shallower network',
  source: 'Su et al., ECCV 2024, arXiv:2311.11227',
  options,
  secureAggregation: { noBecause: 'the server divides each block by the weight of those who had it' },
  exampleLevel: 'yes',
  reducesTo: [{ id: 'fedavg', when: { capacity: { default: 1 }, allocationSeed: 0 }, within: 'quantum' }],
  exceptions: { 'one-owner': 'an owner trains some of the layers in a round' },
  preconditions: (facts) => [
    ...needsRounds(facts),
    ...(adaptedLayers(facts.tensors).length > 1
      ? []
      : ['it allocates blocks of the network: fewer than two have trained tensors']),
  ],
  wire: allocated,
  encodeDown(params, { round, owner }, given) {
    const own = new Set(allocated(named(params), round, owner, given).map(({ name }) => name));
    return selectParams(params, (name) => own.has(name));
  },
  client(local, given) {
    const tensors = named(local.start);
    const own = new Set(allocated(tensors, local.round, local.owner, given).map(({ name }) => name));
    const others = tensors.filter(({ name }) => !own.has(name));
    if (others.length === 0) return standardRound(local);
    const frozen = new Set(others.map(({ name }) => name));
    return standardRound(local, { frozen, part: { skipped: new Set(adaptedLayers(others)) } });
  },
  aggregate: { kind: 'canonical', combine: meanOfHolders },
};

function named(params: ReadonlyMap<string, Pick<TrainableTensor, 'shape'>>): TrainableTensor[] {
  return [...params].map(([name, { shape }]) => ({ name, shape }));
}

/** The tensors of the owner's blocks in this round, and what lies in no block. */
function allocated(
  tensors: readonly TrainableTensor[],
  round: number,
  owner: string,
  { capacity, allocationSeed }: FedRaOptions,
): TrainableTensor[] {
  const layers = adaptedLayers(tensors);
  const count = Math.max(1, Math.round((levelOf(owner, capacity) ?? 1) * layers.length));
  const own = new Set(drawn(layers, count, rng('fedra', allocationSeed, round, owner)));
  return tensors.filter((tensor) => {
    const layer = layerOf(tensor);
    return layer === undefined || own.has(layer);
  });
}

/** So many of them, uniformly: the beginning of a shuffle. */
function drawn(layers: readonly number[], count: number, random: ReturnType<typeof rng>): number[] {
  const left = [...layers];
  return Array.from({ length: count }, () => left.splice(random.below(left.length), 1)[0]!);
}
