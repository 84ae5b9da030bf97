/**
 * FwdLLM: forward gradients of adapters with variance control (Xu et al., USENIX ATC 2024, arXiv:2308.13894). A client stays at
 * the global θ and sends ĝ, the mean over its batches and N directions of slope · v, slope = (L(θ + hv) − L(θ − hv)) / 2h. The
 * server gathers estimates in two halves and steps, θ ← θ − η lr · (weighted mean of all), only once these agree: half the
 * mean square of the difference of their means, the variance that two means show, is at most the threshold; otherwise it
 * keeps what it has and gathers more. Directions: of c · N candidates the N with the largest cosine to the last global
 * gradient are used, which biases ĝ towards it.
 *
 * Reconstructed: the halves are alternate updates in the order of owners, over rounds too; the last gradient is taken from the
 * last two different params that the client itself received, so that no gradient has to travel down.
 */

import { z } from 'zod';
import type { Rng } from '../../base/random.ts';
import { type Params, type Tensor, tensor, zeros } from '../../base/tensor.ts';
import { type Distribution, distribution, drawSeed, eachDirectionChunk } from '../directions.ts';
import type { LocalOutcome, LocalRound } from '../local-round.ts';
import type { CombineContext, Method, WeightedUpdate } from '../method.ts';
import { needsRounds } from '../needs.ts';
import { addScaled, differenceOf, l2Norm, scaled, selectParams, sortedParams } from '../params.ts';
import { type Direction, estimatedGradient } from '../zeroth-order.ts';
import { needsPlainSteps } from '../zeroth-order-needs.ts';

const options = z.strictObject({
  epsilon: z.number().positive().default(0.01).describe('h: how far from θ losses are taken.'),
  perturbations: z
    .int()
    .positive()
    .default(10)
    .describe('N: directions for each batch; two forward passes each.'),
  candidates: z
    .int()
    .positive()
    .default(10)
    .describe('c: directions to choose one from, by their cosine to the last global gradient; 1: no choice.'),
  varianceThreshold: z
    .number()
    .positive()
    .default(0.3)
    .describe(
      'Largest variance of the mean estimate, for one coordinate, at which the server steps. The paper’s code: 0.1 to 0.5.',
    ),
  distribution,
});

type Options = z.infer<typeof options>;

const RATE = 'fwdllm.rate';
const COUNT = 'fwdllm.count';
const WEIGHTS = 'fwdllm.weights';
const halfName = (half: number, name: string) => `fwdllm.half-${half}:${name}`;

export const fwdllm: Method<Options> = {
  id: 'fwdllm',
  summary: 'forward gradients without backpropagation; the server steps once the estimates agree',
  source: 'Xu et al., USENIX ATC 2024, arXiv:2308.13894',
  options,
  secureAggregation: { noBecause: 'the server compares two halves of the estimates' },
  exceptions: {
    'one-owner': 'gradients are estimated from losses',
    'any-order': 'estimates are dealt to the halves one after the other, in the order of the owners’ names',
  },
  preconditions: (facts) => [...needsPlainSteps(facts), ...needsRounds(facts)],
  wire: (tensors) => [...tensors, { name: RATE, shape: [1] }],
  client: clientRound,
  aggregate: { kind: 'canonical', combine: (updates, _options, context) => gathered(updates, context) },
  serverStep({ params, aggregate: pool, serverLearningRate, options: { varianceThreshold } }) {
    const [first, second] = pool.get(WEIGHTS)!.data as unknown as [number, number];
    if (first === 0 || second === 0 || varianceOf(pool, params) > varianceThreshold)
      return { params, state: pool };
    const rate = (serverLearningRate * pool.get(RATE)!.data[0]!) / (first + second);
    const total = addScaled(halfOf(pool, 0, params), halfOf(pool, 1, params), 1);
    return { params: addScaled(params, total, -rate) };
  },
};

async function clientRound(local: LocalRound, chosen: Options): Promise<LocalOutcome> {
  const { start, steps } = local;
  const last = lastDirection(local);
  const grads = new Map([...start].map(([name, { shape }]) => [name, zeros('float32', shape)] as const));
  const losses: number[] = [];
  for (let step = 0; step < steps; step++) {
    const directions = chosenDirections(chosen, last, local.random('directions').split(step));
    const found = await estimatedGradient(
      (point) => local.loss(point, step),
      start,
      directions,
      chosen.epsilon,
    );
    for (const [name, { data }] of found.grads) {
      const sum = grads.get(name)!.data;
      for (let i = 0; i < sum.length; i++) sum[i]! += data[i]! / steps;
    }
    losses.push(found.loss);
  }
  const rate = tensor('float32', [1], Float32Array.of(local.learningRate));
  return {
    update: new Map<string, Tensor<'float32'>>([...grads, [RATE, rate]]),
    memory: new Map([...prefixed('params', start), ...prefixed('step', last ?? NOTHING)]),
    stats: local.statsOf(losses),
  };
}

const NOTHING: Params = new Map();

function prefixed(part: string, params: Params): [string, Tensor<'float32'>][] {
  return [...params].map(([name, value]) => [`${part}:${name}`, value]);
}

function partOf(memory: Params, part: string): Params {
  const prefix = `${part}:`;
  const own = [...memory].filter(([name]) => name.startsWith(prefix));
  return new Map(own.map(([name, value]) => [name.slice(prefix.length), value]));
}

/** θ before − θ now, along the last gradient; while the server waits, the one before it. Undefined: none was seen. */
function lastDirection({ start, memory }: LocalRound): Params | undefined {
  if (memory === undefined) return undefined;
  const moved = differenceOf(partOf(memory, 'params'), start);
  if (l2Norm(moved) > 0) return moved;
  const before = partOf(memory, 'step');
  return before.size === 0 ? undefined : before;
}

function chosenDirections(
  { perturbations, candidates, distribution: kind }: Options,
  last: Params | undefined,
  random: Rng,
): Direction[] {
  const covers = () => true;
  const numDrawn = last === undefined ? perturbations : candidates * perturbations;
  const drawn = Array.from({ length: numDrawn }, () => ({ seed: drawSeed(random), kind, covers }));
  if (last === undefined || candidates === 1) return drawn;
  const ranked = drawn.map((direction) => ({ direction, cosine: cosineTo(last, direction.seed, kind) }));
  ranked.sort((a, b) => b.cosine - a.cosine);
  return ranked.slice(0, perturbations).map(({ direction }) => direction);
}

/** Up to the factor 1 / ‖last‖, the same for all. */
function cosineTo(last: Params, seed: Direction['seed'], kind: Distribution): number {
  let [dot, square] = [0, 0];
  for (const [name, { data }] of last)
    eachDirectionChunk(seed, name, data.length, kind, (chunk, begin) => {
      for (let i = 0; i < chunk.length; i++) {
        dot += chunk[i]! * data[begin + i]!;
        square += chunk[i]! ** 2;
      }
    });
  return dot / Math.sqrt(square);
}

/** The pool of weighted sums with the cohort's estimates in it. */
function gathered(updates: readonly WeightedUpdate[], { params, state }: CombineContext): Params {
  const names = [...params.keys()];
  const halves = [0, 1].map((half) =>
    state === undefined ? zerosLike(params) : halfOf(state, half, params),
  );
  const weights = Float32Array.from(state?.get(WEIGHTS)?.data ?? [0, 0]);
  const seen = state?.get(COUNT)?.data[0] ?? 0;
  for (const [i, { update, aggregationWeight }] of updates.entries()) {
    const half = (seen + i) % 2;
    halves[half] = addScaled(
      halves[half]!,
      selectParams(update, (name) => names.includes(name)),
      aggregationWeight,
    );
    weights[half]! += aggregationWeight;
  }
  const rates = updates.map(({ update }) => update.get(RATE)!.data[0]!);
  const rate = rates.reduce((sum, x) => sum + x, 0) / rates.length;
  return sortedParams([
    ...[0, 1].flatMap((half) =>
      names.map((name) => [halfName(half, name), halves[half]!.get(name)!] as const),
    ),
    [WEIGHTS, tensor('float32', [2], weights)],
    [COUNT, tensor('float32', [1], Float32Array.of((seen + updates.length) % 2))],
    [RATE, tensor('float32', [1], Float32Array.of(rate))],
  ]);
}

function halfOf(pool: Params, half: number, params: Params): Params {
  return new Map([...params.keys()].map((name) => [name, pool.get(halfName(half, name))!]));
}

function zerosLike(params: Params): Params {
  return new Map([...params].map(([name, { shape }]) => [name, zeros('float32', shape)]));
}

/** Mean over coordinates of (m₀ − m₁)² / 2, the sample variance of two means. */
function varianceOf(pool: Params, params: Params): number {
  const [first, second] = pool.get(WEIGHTS)!.data as unknown as [number, number];
  const means = [scaled(halfOf(pool, 0, params), 1 / first), scaled(halfOf(pool, 1, params), 1 / second)];
  const size = [...params.values()].reduce((sum, { data }) => sum + data.length, 0);
  return l2Norm(differenceOf(means[0]!, means[1]!)) ** 2 / 2 / size;
}
