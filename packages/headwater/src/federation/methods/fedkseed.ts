/**
 * FedKSeed: full-parameter (or adapter) tuning in a few kilobytes (Qin et al., ICML 2024, arXiv:2312.06353). The model is
 * W = W₀ + Σ_{j<K} a_j · z_j with directions z_j that everybody makes from a seed. A client takes its steps along randomly
 * chosen z_j, θ ← θ − lr · g · z_j with g = (L(θ + εz_j) − L(θ − εz_j)) / 2ε on the step's batch, and sends the K sums of its
 * step lengths −lr · g; the server adds their weighted mean to a. Whoever has W₀ and a has the model, also who joins late.
 *
 * Here a holds step lengths where the paper's code holds Σ g: the learning rate may then change from round to round. The
 * replay is done in float64 and rounded once to float32. `choice: slopes` is FedKSeed-Pro: seeds are drawn with the softmax of
 * their mean |g| (clipped at 1000, scaled to [0, 1]). The paper takes K = 1024 or 4096, 200 steps, ε 5e-4, learning rate 3e-7.
 */

import { z } from 'zod';
import type { Rng } from '../../base/random.ts';
import { type Params, type Tensor, tensor } from '../../base/tensor.ts';
import { distribution } from '../directions.ts';
import type { LocalOutcome, LocalRound } from '../local-round.ts';
import type { Method } from '../method.ts';
import { asBase, keyOf, replayedTuning, seedUnder } from '../replayed-tuning.ts';
import { displaced, replayed, slopeAlong } from '../zeroth-order.ts';
import { needsPlainSteps } from '../zeroth-order-needs.ts';

const options = z.strictObject({
  seeds: z.int().positive().default(1024).describe('K: directions that there are; as many scalars travel.'),
  epsilon: z.number().positive().default(5e-4).describe('ε: how far from θ losses are taken.'),
  choice: z
    .enum(['uniform', 'slopes'])
    .default('uniform')
    .describe('How a step draws its direction; slopes: FedKSeed-Pro, 3K scalars travel.'),
  distribution,
});

type Options = z.infer<typeof options>;

const KEY = 'fedkseed.key';
const ACCUMULATORS = 'fedkseed.accumulators';
/** Of each seed: Σ |g| / 1000 and how often it was drawn, both per step. */
const SLOPES = 'fedkseed.slopes';
const DRAWS = 'fedkseed.draws';
const LARGEST_SLOPE = 1000;

export const fedkseed: Method<Options> = {
  id: 'fedkseed',
  summary: 'no backpropagation; K scalars travel each way, the model is replayed from the base and K seeds',
  source: 'Qin et al., ICML 2024, arXiv:2312.06353',
  options,
  secureAggregation: 'yes',
  exceptions: { 'one-owner': 'gradients are estimated from losses' },
  preconditions: (facts) => needsPlainSteps(facts),
  tuning: (bound, _layout, { seeds, choice, distribution: kind }) =>
    replayedTuning(bound, {
      scalars: scalarsOf(choice).map((name) => ({ name, shape: [seeds] })),
      key: KEY,
      replay: (base, scalars, key) => replayed(base, termsOf(scalars.get(ACCUMULATORS)!, key), kind),
    }),
  selectTrainable: ({ name }, _round, { choice }) => (scalarsOf(choice).includes(name) ? 'shared' : 'frozen'),
  client: clientRound,
};

function scalarsOf(choice: Options['choice']): string[] {
  return choice === 'uniform' ? [ACCUMULATORS] : [ACCUMULATORS, DRAWS, SLOPES];
}

function termsOf({ data }: Tensor<'float32'>, key: number) {
  return [...data].map((scale, j) => ({ scale, seed: seedUnder(key, j) }));
}

async function clientRound(local: LocalRound, chosen: Options): Promise<LocalOutcome> {
  const { seeds, epsilon, choice, distribution: kind } = chosen;
  const { start } = local;
  const key = keyOf(start.get(KEY)!);
  const rest = scalarsOf(choice);
  const sums = {
    lengths: new Float64Array(seeds),
    slopes: new Float64Array(seeds),
    draws: new Float64Array(seeds),
  };
  const draw = drawer(start, chosen, local.random('seeds'));
  const losses: number[] = [];
  let model = local.inputs(start);
  for (let step = 0; step < local.steps; step++) {
    const j = draw();
    const direction = { seed: seedUnder(key, j), kind, covers: () => true };
    const at = (point: Params) => local.loss(asBase(start, point, rest), step);
    const { slope, loss } = await slopeAlong(at, model, direction, epsilon);
    const length = -local.learningRate * slope;
    model = displaced(model, direction, length);
    sums.lengths[j]! += length;
    sums.slopes[j]! += Math.min(Math.abs(slope), LARGEST_SLOPE) / LARGEST_SLOPE / local.steps;
    sums.draws[j]! += 1 / local.steps;
    losses.push(loss);
  }
  const values: Record<string, Float64Array> = {
    [ACCUMULATORS]: sums.lengths,
    [SLOPES]: sums.slopes,
    [DRAWS]: sums.draws,
  };
  const update = rest.map(
    (name) => [name, tensor('float32', [seeds], Float32Array.from(values[name]!))] as const,
  );
  return { update: new Map(update), stats: local.statsOf(losses) };
}

/** Seeds by softmax of their scaled mean slopes; a seed that nobody drew yet counts as flat. */
function drawer(start: Params, { seeds, choice }: Options, random: Rng): () => number {
  if (choice === 'uniform') return () => random.below(seeds);
  const [slopes, draws] = [start.get(SLOPES)!.data, start.get(DRAWS)!.data];
  const means = [...slopes].map((sum, j) => (draws[j]! > 0 ? sum / draws[j]! : 0));
  const [least, most] = [Math.min(...means), Math.max(...means)];
  const weights = means.map((mean) => Math.exp(most > least ? (mean - least) / (most - least) : 0));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return () => {
    let left = random.uniform() * total;
    const found = weights.findIndex((weight) => {
      left -= weight;
      return left < 0;
    });
    return found < 0 ? seeds - 1 : found;
  };
}
