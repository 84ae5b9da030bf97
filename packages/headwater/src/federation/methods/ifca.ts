/**
 * IFCA: J models; each owner trains the one that fits its examples best, and each model is averaged over those who chose it
 * (Ghosh et al., NeurIPS 2020, arXiv:2006.04088): j_k = argmin_j F_k(θ_j), θ_j ← θ_j + η Σ_{k: j_k = j} p_k Δ_k / Σ p_k. A
 * model that nobody chose stays. All J travel down, one travels up with the name of its cluster.
 *
 * The paper begins with J random models. Here all begin at the recipe's params with noise of their own, since models that
 * agree are all chosen or none. An owner is scored by the model that it chose last, the first where it never took part.
 * All J are published: the first as `adapter`, the others beside it as `adapter-2` …; a round's figures say how many owners
 * chose each, and an owner's own choice stays with the owner.
 */

import { z } from 'zod';
import type { Rng } from '../../base/random.ts';
import { type Params, tensor } from '../../base/tensor.ts';
import { withExtraTensors } from '../../tuning/extra-tensors.ts';
import type { LocalOutcome, LocalRound } from '../local-round.ts';
import type { Method, WeightedUpdate } from '../method.ts';
import { differenceOf, overlaid, selectParams, underPrefix, weightedSum, withoutPrefix } from '../params.ts';

const options = z.strictObject({
  clusters: z.int().min(1).max(64).default(2).describe('J: models.'),
  spread: z
    .number()
    .positive()
    .default(0.02)
    .describe('Standard deviation of the noise that tells the models apart at the start.'),
  chooseOn: z
    .enum(['all', 'round'])
    .default('all')
    .describe('What an owner compares the models on: all of its examples, or those of the round.'),
});
type Options = z.infer<typeof options>;

/** The first cluster has the tensors' own names. */
const OTHER = /^cluster-\d+\//;
const prefixOf = (cluster: number) => (cluster === 0 ? '' : `cluster-${cluster + 1}/`);
const isFirst = (name: string) => !OTHER.test(name);
const CHOICE = 'ifca/choice';

export const ifca: Method<Options> = {
  id: 'ifca',
  summary: 'several models; each owner trains the one that fits it best',
  source: 'Ghosh et al., NeurIPS 2020, arXiv:2006.04088',
  options,
  secureAggregation: { noBecause: 'the server averages each cluster apart, by the choice of each owner' },
  exampleLevel: { noBecause: 'its clients choose a model by their losses' },
  reducesTo: [{ id: 'fedavg', when: { clusters: 1, spread: 0.02, chooseOn: 'all' }, within: 'quantum' }],
  exceptions: { 'one-owner': 'an owner trains the one of several models that fits it best' },
  preconditions: ({ compression = 'none' }, { clusters }) =>
    compression === 'none' || clusters === 1
      ? []
      : [`compression is ${compression}: what it loses of one cluster’s update would go into another’s`],
  tuning: (bound, _layout, { clusters, spread }) =>
    withExtraTensors(
      bound,
      others(clusters).flatMap((cluster) =>
        bound.tensors.map(({ name, shape }) => ({ name: prefixOf(cluster) + name, shape })),
      ),
      (params, random) => apart(params, clusters, spread, random),
    ),
  selectTrainable: ({ name }) => (isFirst(name) ? 'shared' : 'given'),
  wire: (tensors, _round, _owner, { clusters }) =>
    [...tensors.filter(({ name }) => isFirst(name)), { name: CHOICE, shape: [clusters] }].sort((a, b) =>
      a.name < b.name ? -1 : 1,
    ),
  client: trained,
  aggregate: { kind: 'canonical', combine: clusterMeans, figures: sizesOf },
  alsoPublished: (params, { clusters }) =>
    new Map(others(clusters).map((j) => [`-${j + 1}`, overlaid(params, modelOf(params, j))])),
  ownParams(params, { memory }) {
    const chosen = memory?.get(CHOICE)?.data[0] ?? 0;
    return overlaid(params, modelOf(params, chosen));
  },
};

const others = (clusters: number) => Array.from({ length: clusters - 1 }, (_, i) => i + 1);

/** θ_j under the tensors' own names. */
function modelOf(params: Params, cluster: number): Params {
  return cluster === 0 ? selectParams(params, isFirst) : withoutPrefix(prefixOf(cluster), params);
}

function apart(params: Params, clusters: number, spread: number, random: Rng): Params {
  if (clusters === 1) return params;
  const noisy = (cluster: number): Params =>
    new Map(
      [...params].map(([name, { shape, data }]) => {
        const stream = random.split('cluster', cluster, name);
        return [
          name,
          tensor(
            'float32',
            shape,
            data.map((x) => x + spread * stream.normal()),
          ),
        ];
      }),
    );
  return new Map([0, ...others(clusters)].flatMap((j) => [...underPrefix(prefixOf(j), noisy(j))]));
}

async function trained(local: LocalRound, { clusters, chooseOn }: Options): Promise<LocalOutcome> {
  const losses: number[] = [];
  for (let j = 0; j < clusters; j++) {
    const params = overlaid(local.start, modelOf(local.start, j));
    losses.push(chooseOn === 'all' ? await local.lossOnAll(params) : await lossOfRound(local, params));
  }
  const chosen = losses.indexOf(Math.min(...losses));
  const begin = modelOf(local.start, chosen);
  const { params, stats } = await local.train(overlaid(local.start, begin));
  const choice = Float32Array.from({ length: clusters }, (_, j) => (j === chosen ? 1 : 0));
  return {
    update: new Map([
      ...differenceOf(selectParams(params, isFirst), begin),
      [CHOICE, tensor('float32', [clusters], choice)],
    ]),
    memory: new Map([[CHOICE, tensor('float32', [1], Float32Array.of(chosen))]]),
    stats,
  };
}

async function lossOfRound({ loss, steps }: LocalRound, params: Params): Promise<number> {
  let sum = 0;
  for (let step = 0; step < steps; step++) sum += await loss(params, step);
  return sum / steps;
}

function clusterMeans(updates: readonly WeightedUpdate[], { clusters }: Options): Params {
  const choices = choicesOf(updates);
  const means = Array.from({ length: clusters }, (_, j) => {
    const members = updates.filter((_update, i) => choices[i] === j);
    const total = members.reduce((sum, { aggregationWeight }) => sum + aggregationWeight, 0);
    const terms = members.map(({ update, aggregationWeight }) => ({
      params: selectParams(update, (name) => name !== CHOICE),
      factor: aggregationWeight / total,
    }));
    return terms.length === 0 ? new Map() : underPrefix(prefixOf(j), weightedSum(terms));
  });
  return new Map(means.flatMap((mean) => [...mean]));
}

/** Owners of the round by the cluster that they chose. */
function sizesOf(updates: readonly WeightedUpdate[], { clusters }: Options): Record<string, number> {
  const choices = choicesOf(updates);
  const size = (j: number) => choices.filter((choice) => choice === j).length;
  return Object.fromEntries(Array.from({ length: clusters }, (_, j) => [`cluster${j + 1}`, size(j)]));
}

function choicesOf(updates: readonly WeightedUpdate[]): number[] {
  return updates.map(({ update }) => indexOfLargest(update.get(CHOICE)!.data));
}

function indexOfLargest(values: Float32Array): number {
  return values.reduce((best, value, i) => (value > values[best]! ? i : best), 0);
}
