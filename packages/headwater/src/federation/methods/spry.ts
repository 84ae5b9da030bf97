/**
 * SPRY: forward gradients, the trained tensors split among clients (Panchal et al., NeurIPS 2024, arXiv:2405.15551). A client
 * perturbs its part alone, ĝ = (1/P) Σ_p jvp_p · v_p, and the server takes each tensor's weighted mean over those who held it,
 * then an average or a FedYogi step. `exchange: params` sends the part's change after local training by the recipe's optimizer
 * (per epoch in the paper); `slopes` sends P slopes and their seed after one SGD step, and the server makes ĝ again (per
 * iteration in the paper). LoRA factors of a module stay together; a trained head is everybody's.
 *
 * The Jacobian-vector product is a central difference of losses, (L(θ + εv) − L(θ − εv)) / 2ε, as exact as float32 losses allow
 * (a relative error near 1e-3, tested against gradients). Reconstructed: the paper's server deals the layers out to the cohort of
 * each round; here an owner's part follows from its name and the round, so that everybody knows it. Every owner holds each of
 * the `groups` parts once in as many rounds; a part that nobody holds in a round stays as it is.
 */

import { sha256 } from '@noble/hashes/sha2.js';
import { utf8ToBytes } from '@noble/hashes/utils.js';
import { z } from 'zod';
import { type Params, sizeOf, type Tensor, tensor } from '../../base/tensor.ts';
import type { TrainableTensor } from '../../tuning/kind.ts';
import { adaptiveStep, yogiMoment } from '../adaptive-server.ts';
import { addDirection, type DirectionSeed, distribution } from '../directions.ts';
import type { LocalOutcome, LocalRound } from '../local-round.ts';
import { standardRound } from '../local-round.ts';
import { loraFactor } from '../lora-factors.ts';
import {
  type CombineContext,
  fedAvgStep,
  type Method,
  type RunFacts,
  type WeightedUpdate,
} from '../method.ts';
import { needsRounds } from '../needs.ts';
import { type Direction, estimatedGradient, slopeAlong } from '../zeroth-order.ts';
import { needsPlainSteps } from '../zeroth-order-needs.ts';

const options = z.strictObject({
  groups: z.int().positive().default(2).describe('Parts that the trained tensors are split into.'),
  exchange: z
    .enum(['params', 'slopes'])
    .default('params')
    .describe('What travels up: the change of the client’s part, or slopes and a seed (localSteps: 1).'),
  epsilon: z.number().positive().default(1e-3).describe('ε of the central difference.'),
  perturbations: z.int().positive().default(1).describe('P: directions in a step; two forward passes each.'),
  server: z
    .enum(['average', 'fedyogi'])
    .default('average')
    .describe('fedyogi is the paper’s; it wants a small federation.serverLearningRate.'),
  beta1: z.number().min(0).lt(1).default(0.9),
  beta2: z.number().min(0).lt(1).default(0.99),
  tau: z.number().positive().default(1e-3),
  distribution,
});

type Options = z.infer<typeof options>;

const SLOPES = 'spry.slopes';
const SEED = 'spry.seed';
const RATE = 'spry.rate';

export const spry: Method<Options> = {
  id: 'spry',
  summary: 'forward gradients without backpropagation; each client perturbs its part of the trained tensors',
  source: 'Panchal et al., NeurIPS 2024, arXiv:2405.15551',
  options,
  secureAggregation: { noBecause: 'the server needs to know who held which tensor' },
  exceptions: { 'one-owner': 'gradients are estimated along random directions, of a part of the tensors' },
  preconditions: (facts, chosen) => [
    ...needsRounds(facts),
    ...needsParts(facts, chosen),
    ...(chosen.exchange === 'slopes' ? needsOneStep(facts) : []),
  ],
  wire(tensors, round, owner, { exchange, perturbations, groups }) {
    if (exchange === 'params') return partOf(tensors, round, owner, groups);
    return [
      { name: RATE, shape: [1] },
      { name: SEED, shape: [2] },
      { name: SLOPES, shape: [perturbations] },
    ];
  },
  client: (local, chosen) =>
    chosen.exchange === 'params' ? trainedPart(local, chosen) : slopesOfPart(local, chosen),
  aggregate: {
    kind: 'canonical',
    combine: (updates, chosen, context) =>
      meanOverHolders(
        updates.map((sent) => ({ ...sent, update: movement(sent, chosen, context) })),
        context.params,
      ),
  },
  serverStep: (input) =>
    input.options.server === 'average'
      ? fedAvgStep(input)
      : adaptiveStep(
          { secondMoment: (v, square, { beta2 }) => yogiMoment(v, square, beta2) },
          { ...input, options: { ...input.options, dialect: 'paper' } },
        ),
};

function needsParts({ tensors }: RunFacts, { groups }: Options): string[] {
  const units = unitsOf(tensors).length;
  return units >= groups ? [] : [`${groups} groups need as many parts to train; there are ${units}`];
}

function needsOneStep(facts: RunFacts): string[] {
  const { localSteps = 1, compression = 'none' } = facts;
  return [
    ...needsPlainSteps(facts),
    ...(localSteps === 1 ? [] : ['slopes are exchanged after each step: federation.localSteps must be 1']),
    ...(compression === 'none' ? [] : ['a seed travels: federation.compression must be none']),
  ];
}

/** What is trained together: both factors of a module, or a tensor. Undefined: a head beside LoRA factors. */
function unitOf(name: string, hasLora: boolean): string | undefined {
  if (!hasLora) return name;
  return loraFactor(name) === undefined ? undefined : name.replace(/\.lora_[AB]\.[^.]+$/, '');
}

function unitsOf(tensors: readonly TrainableTensor[]): string[] {
  const hasLora = tensors.some(({ name }) => loraFactor(name) !== undefined);
  const units = new Set(tensors.flatMap(({ name }) => unitOf(name, hasLora) ?? []));
  return [...units].sort();
}

/** The tensors that an owner holds in a round: unit i belongs to part i mod groups. */
function partOf(
  tensors: readonly TrainableTensor[],
  round: number,
  owner: string,
  groups: number,
): TrainableTensor[] {
  const hasLora = tensors.some(({ name }) => loraFactor(name) !== undefined);
  const group = (numberOf(owner) + round) % groups;
  const units = new Map(unitsOf(tensors).map((unit, i) => [unit, i]));
  return tensors.filter(({ name }) => {
    const unit = unitOf(name, hasLora);
    return unit === undefined || units.get(unit)! % groups === group;
  });
}

function numberOf(owner: string): number {
  return new DataView(sha256(utf8ToBytes(owner)).buffer).getUint32(0, true);
}

function trainedPart(
  local: LocalRound,
  { epsilon, perturbations, distribution: kind }: Options,
): Promise<LocalOutcome> {
  const part = new Set(local.wire.map(({ name }) => name));
  const frozen = new Set([...local.start.keys()].filter((name) => !part.has(name)));
  return standardRound(local, {
    frozen,
    estimate({ params, step, loss }) {
      const seed = local.random('directions').split(step).uint32();
      const directions = directionsOf(seed, perturbations, kind, (name) => part.has(name));
      return estimatedGradient(loss, params, directions, epsilon);
    },
  });
}

function directionsOf(
  seed: number,
  perturbations: number,
  kind: Options['distribution'],
  covers: Direction['covers'],
): Direction[] {
  return Array.from({ length: perturbations }, (_, p) => ({ seed: [seed, p], kind, covers }));
}

async function slopesOfPart(local: LocalRound, chosen: Options): Promise<LocalOutcome> {
  const { start, round, owner } = local;
  const { epsilon, perturbations, distribution: kind, groups } = chosen;
  const part = new Set(partOf(shapesOf(start), round, owner, groups).map(({ name }) => name));
  const seed = local.random('directions').split(0).uint32();
  const slopes: number[] = [];
  let total = 0;
  for (const direction of directionsOf(seed, perturbations, kind, (name) => part.has(name))) {
    const found = await slopeAlong((point) => local.loss(point, 0), start, direction, epsilon);
    slopes.push(found.slope);
    total += found.loss;
  }
  const vector = (...values: number[]) => tensor('float32', [values.length], Float32Array.from(values));
  return {
    update: new Map([
      [RATE, vector(local.learningRate)],
      // Halves, which float32 holds exactly.
      [SEED, vector(seed >>> 16, seed & 0xffff)],
      [SLOPES, vector(...slopes)],
    ]),
    stats: local.statsOf([total / perturbations]),
  };
}

function shapesOf(params: Params): TrainableTensor[] {
  return [...params].map(([name, { shape }]) => ({ name, shape }));
}

/** An owner's change of its part; from slopes: −lr · (1/P) Σ slope_p · v_p. */
function movement(
  { owner, update }: WeightedUpdate,
  { exchange, groups, distribution: kind }: Options,
  { params, round }: CombineContext,
): Params {
  if (exchange === 'params') return update;
  const [high, low] = update.get(SEED)!.data as unknown as [number, number];
  const slopes = update.get(SLOPES)!.data;
  const rate = update.get(RATE)!.data[0]!;
  const seed = (p: number): DirectionSeed => [high * 65536 + low, p];
  const part = partOf(shapesOf(params), round, owner, groups);
  return new Map(
    part.map(({ name, shape }) => {
      const data = new Float32Array(sizeOf(shape));
      for (const [p, slope] of slopes.entries())
        addDirection(data, (-rate * slope) / slopes.length, seed(p), name, kind);
      return [name, tensor('float32', shape, data)];
    }),
  );
}

/** Σ w_k Δ_k / Σ w_k over the holders of each tensor; tensors without one are left out. */
function meanOverHolders(updates: readonly WeightedUpdate[], params: Params): Params {
  const means = [...params].flatMap(([name, { shape }]): [string, Tensor<'float32'>][] => {
    const holders = updates.filter(({ update }) => update.has(name));
    if (holders.length === 0) return [];
    const total = holders.reduce((sum, { aggregationWeight }) => sum + aggregationWeight, 0);
    const sum = new Float64Array(sizeOf(shape));
    for (const { update, aggregationWeight } of holders) {
      const { data } = update.get(name)!;
      for (let i = 0; i < sum.length; i++) sum[i]! += (aggregationWeight / total) * data[i]!;
    }
    return [[name, tensor('float32', shape, Float32Array.from(sum))]];
  });
  return new Map(means);
}
