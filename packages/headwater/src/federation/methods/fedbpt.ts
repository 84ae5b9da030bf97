/**
 * FedBPT: black-box prompt tuning, no gradient and no access to weights anywhere (Sun et al. 2023, arXiv:2310.01467; program:
 * NVFlare). A point z ∈ R^d is searched for, the prompt is p = p₀ + s/√d · A z with random A that everybody makes from a key
 * and s the root mean square of p₀ times `scale`. A client copies the server's CMA-ES state, takes `localSteps` steps of
 * `population` candidates, fitness = loss on the step's examples, and sends its last mean, that mean's loss on all its
 * examples, and the σ of its steps. The server, m clients: σ_g = √(Σ_k Σ_t σ²_{k,t} / (m μ_local)) with μ_local = population / 2,
 * one CMA-ES step over the m means ranked by loss (all m are parents), then σ_local ← clamp((σ_new / σ_g) σ_local, least, σ_local).
 *
 * Not built: the paper's second fitness, the ratio to the loss on inputs with half of the tokens replaced. All numbers that
 * travel begin at zero: C − I, σ_local − its first value.
 */

import { z } from 'zod';
import { type Params, type Tensor, tensor } from '../../base/tensor.ts';
import { candidate, rankWeights, rootsLast, rootsOf, type SearchState, searchStep } from '../cma-es.ts';
import { distribution } from '../directions.ts';
import type { LocalOutcome, LocalRound } from '../local-round.ts';
import type { Method, RunFacts, WeightedUpdate } from '../method.ts';
import { needsRounds, needsWholeSteps } from '../needs.ts';
import { needsPromptRows, PROMPT_EMBEDDINGS } from '../prompt-tensors.ts';
import { replayedTuning, seedUnder } from '../replayed-tuning.ts';
import { replayed } from '../zeroth-order.ts';
import { needsNoClipping } from '../zeroth-order-needs.ts';

const options = z.strictObject({
  dimension: z
    .int()
    .min(2)
    .default(64)
    .describe('d: of the space that is searched; d² / 2 numbers travel down. The paper takes 500.'),
  population: z.int().min(2).default(20).describe('Candidates in a client’s step, one forward pass each.'),
  sigma: z.number().positive().default(1).describe('σ of clients in the first round.'),
  leastSigma: z.number().positive().default(0.5).describe('σ of clients does not fall below this.'),
  scale: z
    .number()
    .positive()
    .default(1)
    .describe('Size of a step of length √d, in root mean squares of p₀.'),
  distribution,
});

type Options = z.infer<typeof options>;

const KEY = 'fedbpt.key';
const MEAN = 'fedbpt.mean';
const COVARIANCE = 'fedbpt.covariance';
const PATHS = 'fedbpt.paths';
/** Local σ less its first value, and the server's steps so far. */
const SCALE = 'fedbpt.sigma';
const FITNESS = 'fedbpt.fitness';
const SIGMAS = 'fedbpt.sigmas';

export const fedbpt: Method<Options> = {
  id: 'fedbpt',
  summary: 'black-box prompt tuning: CMA-ES on clients and server, forward passes only',
  source: 'Sun et al. 2023, arXiv:2310.01467',
  options,
  secureAggregation: { noBecause: 'the server ranks the clients’ means by their losses' },
  exceptions: {
    'one-owner': 'the prompt is searched for, not trained',
    'any-order': 'of owners of equal fitness the first by name counts more',
    'still-round': 'paths and covariance of the search shrink also when all means agree',
  },
  preconditions: (facts) => [
    ...needsPromptRows(facts.tensors),
    ...needsRounds(facts),
    ...needsWholeSteps(facts),
    ...needsNoClipping(facts),
    ...needsNoCompression(facts),
  ],
  tuning: (bound, _layout, { dimension: d, scale, distribution: kind }) =>
    replayedTuning(bound, {
      scalars: [
        { name: MEAN, shape: [d] },
        { name: COVARIANCE, shape: [(d * (d + 1)) / 2] },
        { name: PATHS, shape: [2, d] },
        { name: SCALE, shape: [2] },
      ],
      key: KEY,
      replay(base, scalars, key) {
        const start = new Map([...base].filter(([name]) => name === PROMPT_EMBEDDINGS));
        const unit = (scale * rootMeanSquare(start)) / Math.sqrt(d);
        const terms = [...scalars.get(MEAN)!.data].map((x, j) => ({
          seed: seedUnder(key, j),
          scale: unit * x,
        }));
        return new Map([...base, ...replayed(start, terms, kind)]);
      },
    }),
  selectTrainable: ({ name }) => ([MEAN, COVARIANCE, PATHS, SCALE].includes(name) ? 'given' : 'frozen'),
  wire: (tensors) => tensors.flatMap(({ name, shape }) => (name === MEAN ? [{ name, shape }, ...WIRE] : [])),
  client: clientRound,
  aggregate: {
    kind: 'canonical',
    combine: (updates, chosen, { params }) => tensorsOf(serverSearch(updates, params, chosen), chosen),
  },
  serverStep: ({ params, aggregate }) => ({ params: new Map([...params, ...aggregate]) }),
};

/** One number for each step would need the recipe: their root mean square says the same. */
const WIRE = [
  { name: FITNESS, shape: [1] },
  { name: SIGMAS, shape: [2] },
];

function needsNoCompression({ compression = 'none' }: RunFacts): string[] {
  return compression === 'none' ? [] : ['points of the search travel: federation.compression must be none'];
}

function rootMeanSquare(params: Params): number {
  let [sum, count] = [0, 0];
  for (const { data } of params.values()) {
    for (const value of data) sum += value * value;
    count += data.length;
  }
  return count === 0 ? 0 : Math.sqrt(sum / count);
}

async function clientRound(local: LocalRound, chosen: Options): Promise<LocalOutcome> {
  const { start } = local;
  const weights = rankWeights(Math.floor(chosen.population / 2));
  const normal = local.random('candidates').normal;
  const at = (point: Float64Array): Params => new Map([...start, [MEAN, vector(point)]]);
  let search = searchOf(start, chosen);
  let roots = rootsOf(search);
  const losses: number[] = [];
  let squares = 0;
  for (let step = 0; step < local.steps; step++) {
    if (step > 0 && step % rootsLast(search, weights) === 0) roots = rootsOf(search);
    const points = Array.from({ length: chosen.population }, () => candidate(search, roots, normal));
    const rated: { point: Float64Array; loss: number }[] = [];
    for (const point of points) rated.push({ point, loss: await local.loss(at(point), step) });
    rated.sort((a, b) => a.loss - b.loss);
    losses.push(rated[0]!.loss);
    squares += search.sigma ** 2;
    const best = rated.slice(0, weights.length).map(({ point }) => point);
    search = searchStep(search, roots, best, weights);
  }
  const update = new Map<string, Tensor<'float32'>>([
    [FITNESS, vector([await local.lossOnAll(at(search.mean))])],
    [MEAN, vector(search.mean)],
    [SIGMAS, vector([squares, weights.length])],
  ]);
  return { update, stats: local.statsOf(losses) };
}

function serverSearch(updates: readonly WeightedUpdate[], params: Params, chosen: Options): SearchState {
  const before = searchOf(params, chosen);
  const value = ({ update }: WeightedUpdate, name: string) => update.get(name)!.data[0]!;
  // Equal fitness keeps the order of owners' names.
  const ranked = [...updates].sort((a, b) => value(a, FITNESS) - value(b, FITNESS));
  const means = ranked.map(({ update }) => Float64Array.from(update.get(MEAN)!.data));
  const squares = updates.reduce((sum, { update }) => {
    const [total, parents] = update.get(SIGMAS)!.data as unknown as [number, number];
    return sum + total / Math.max(1, parents);
  }, 0);
  const sigma = Math.sqrt(squares / updates.length) || before.sigma;
  const now = { ...before, sigma };
  const next = searchStep(now, rootsOf(now), means, rankWeights(means.length));
  const wanted = (next.sigma / sigma) * before.sigma;
  const least = Math.min(chosen.leastSigma, before.sigma);
  return { ...next, sigma: Math.min(before.sigma, Math.max(least, wanted)) };
}

function searchOf(params: Params, { dimension: d, sigma }: Options): SearchState {
  const packed = params.get(COVARIANCE)!.data;
  const paths = Float64Array.from(params.get(PATHS)!.data);
  const [sigmaChange, generation] = params.get(SCALE)!.data as unknown as [number, number];
  const covariance = new Float64Array(d * d);
  for (let i = 0, at = 0; i < d; i++)
    for (let j = 0; j <= i; j++, at++) {
      const value = packed[at]! + (i === j ? 1 : 0);
      covariance[i * d + j] = value;
      covariance[j * d + i] = value;
    }
  return {
    mean: Float64Array.from(params.get(MEAN)!.data),
    covariance,
    pathSigma: paths.slice(0, d),
    pathCovariance: paths.slice(d),
    sigma: sigma + sigmaChange,
    generation,
  };
}

function tensorsOf(search: SearchState, { dimension: d, sigma }: Options): Params {
  const packed = new Float32Array((d * (d + 1)) / 2);
  for (let i = 0, at = 0; i < d; i++)
    for (let j = 0; j <= i; j++, at++) packed[at] = search.covariance[i * d + j]! - (i === j ? 1 : 0);
  const paths = Float32Array.of(...search.pathSigma, ...search.pathCovariance);
  return new Map([
    [COVARIANCE, tensor('float32', [packed.length], packed)],
    [MEAN, vector(search.mean)],
    [PATHS, tensor('float32', [2, d], paths)],
    [SCALE, vector([search.sigma - sigma, search.generation])],
  ]);
}

function vector(values: ArrayLike<number>): Tensor<'float32'> {
  return tensor('float32', [values.length], Float32Array.from(values));
}
