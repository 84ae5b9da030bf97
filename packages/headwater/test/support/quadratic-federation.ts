/**
 * A federation without a model: each owner's loss is a function of two numbers with a known gradient, its training is plain
 * gradient descent, and rounds are those of the method under test. For invariants that have a closed form.
 */

import { rng } from '../../src/base/random.ts';
import { type Params, tensor } from '../../src/base/tensor.ts';
import { aggregateRound } from '../../src/federation/aggregate.ts';
import { type FixedPointPlan, planFixedPoint } from '../../src/federation/fixed-point.ts';
import type { LocalOutcome, LocalRound } from '../../src/federation/local-round.ts';
import { standardRound } from '../../src/federation/local-round.ts';
import { type BoundMethod, bindMethod, type Method } from '../../src/federation/method.ts';
import { methods } from '../../src/federation/methods/registry.ts';
import { overlaid } from '../../src/federation/params.ts';
import type { LocalTraining } from '../../src/training/engine.ts';
import type { BoundTuning } from '../../src/tuning/kind.ts';
import { testLayout } from './layout.ts';

export interface QuadraticOwner {
  readonly weight: number;
  readonly steps: number;
  loss(w: readonly number[]): number;
  gradient(w: readonly number[]): readonly number[];
}

/** ½ Σ curvature_i (w_i − optimum_i)² + floor. */
export function quadratic(
  curvature: readonly number[],
  optimum: readonly number[],
  { weight = 1, steps = 10, floor = 0 } = {},
): QuadraticOwner {
  return {
    weight,
    steps,
    loss: (w) => floor + w.reduce((sum, x, i) => sum + 0.5 * curvature[i]! * (x - optimum[i]!) ** 2, 0),
    gradient: (w) => w.map((x, i) => curvature[i]! * (x - optimum[i]!)),
  };
}

export interface FederationOptions {
  readonly learningRate?: number;
  readonly momentum?: number;
  readonly serverLearningRate?: number;
  /** Sees what a method adds to each training. */
  readonly seen?: (local: LocalTraining) => void;
}

const W = { name: 'w', shape: [2] };
const BOUND: BoundTuning = {
  ...{ kind: 'toy', options: {}, tensors: [W], adapterConfig: () => undefined },
  init: async () => new Map([['w', tensor('float32', [2], new Float32Array(2))]]),
  wrap: () => {
    throw new Error('there is no network');
  },
};

export interface Federation {
  readonly method: BoundMethod;
  params: Params;
  state: Params | undefined;
  readonly memories: (Params | undefined)[];
  /** One round with the owners of these numbers; default: all. */
  round(cohort?: readonly number[]): Promise<LocalOutcome[]>;
  /** The two numbers of the global params. */
  w(): number[];
}

export async function federation(
  id: string,
  options: object,
  owners: readonly QuadraticOwner[],
  how: FederationOptions = {},
): Promise<Federation> {
  const record = methods.get(id) as Method<unknown>;
  const method = bindMethod(record, record.options.parse(options));
  const tuning = method.tuning(BOUND, testLayout({}));
  const wire = method.wire(tuning.tensors, 1, 'o0');
  const plan = planFixedPoint([...wire], { fractionBits: 30, range: 8 });
  const total = owners.reduce((sum, { weight }) => sum + weight, 0);
  let round = 0;
  const fed: Federation = {
    method,
    params: await tuning.init(rng('toy'), async () => new Float32Array(2)),
    state: undefined,
    memories: owners.map(() => undefined),
    async round(cohort = [...owners.keys()]) {
      round += 1;
      const outcomes = new Map<number, LocalOutcome>();
      for (const k of cohort) {
        const local = localRound(method, tuning, owners[k]!, { ...how, round, k, params: fed.params });
        const outcome = await (method.client ?? standardRound)({ ...local, memory: fed.memories[k] });
        outcomes.set(k, outcome);
        fed.memories[k] = outcome.memory;
      }
      const next = await aggregated(method, plan, outcomes, {
        ...{ round, params: fed.params, serverState: fed.state },
        serverLearningRate: how.serverLearningRate ?? 1,
        participation: cohort.reduce((sum, k) => sum + owners[k]!.weight, 0) / total,
        weights: owners.map(({ weight }) => weight),
      });
      fed.params = next.params;
      fed.state = next.serverState;
      return [...outcomes.values()];
    },
    w() {
      return [...fed.params.get('w')!.data];
    },
  };
  return fed;
}

interface Round {
  readonly round: number;
  readonly params: Params;
  readonly serverState: Params | undefined;
  readonly serverLearningRate: number;
  readonly participation: number;
  readonly weights: readonly number[];
}

function aggregated(
  method: BoundMethod,
  plan: FixedPointPlan,
  outcomes: ReadonlyMap<number, LocalOutcome>,
  { weights, ...input }: Round,
) {
  const members = [...outcomes.keys()].map((k) => ({
    owner: `o${k}`,
    update: String(k),
    aggregationWeight: weights[k]!,
  }));
  return aggregateRound(method, plan, { ...input, members }, async (k) => outcomes.get(Number(k))!.update);
}

function localRound(
  method: BoundMethod,
  tuning: BoundTuning,
  owner: QuadraticOwner,
  {
    round,
    k,
    params: start,
    learningRate = 0.1,
    momentum = 0,
    seen,
  }: FederationOptions & { round: number; k: number; params: Params },
): LocalRound {
  const loss = async (params: Params) => owner.loss([...params.get('w')!.data]);
  const stats = { steps: owner.steps, numExamples: 1, numTokens: 1, numTargets: 1 };
  const report = { loss: 0, gradNorm: 0, learningRate, numTokens: 1, numTargets: 1 };
  const unused = () => {
    throw new Error('not in this federation');
  };
  return {
    ...{ round, owner: `o${k}`, steps: owner.steps, learningRate, start, memory: undefined },
    optimizer: {
      ...{ kind: 'sgd', learningRate, momentum, weightDecay: 0 },
      ...{ beta1: 0.9, beta2: 0.999, epsilon: 1e-8 },
    },
    wire: method.wire(tuning.tensors, round, `o${k}`),
    role: (name) => method.role({ name, shape: [2] }, round),
    random: (purpose) => rng('toy', k, round, purpose),
    async train(params, local = {}) {
      seen?.(local);
      const velocity = [0, 0];
      let current = params;
      for (let step = 0; step < owner.steps; step++) {
        const more = [
          method.localObjective?.({ params: current, start }),
          await local.extraGradient?.(current, []),
        ];
        const w = [...current.get('w')!.data];
        const gradient = owner
          .gradient(w)
          .map((g, i) => g + more.reduce((sum, extra) => sum + (extra?.get('w')?.data[i] ?? 0), 0));
        const next = w.map((x, i) => {
          velocity[i] = momentum * velocity[i]! + gradient[i]!;
          return x - learningRate * velocity[i]!;
        });
        current = overlaid(current, new Map([['w', tensor('float32', [2], Float32Array.from(next))]]));
      }
      const steps = Array.from({ length: owner.steps }, (_, step) => ({ ...report, step }));
      return { params: current, steps, stats: { ...stats, meanLoss: 0, lastLoss: 0 } };
    },
    loss,
    lossOnAll: loss,
    statsOf: () => ({ ...stats, meanLoss: 0, lastLoss: 0 }),
    ...{
      examples: [],
      writing: undefined,
      inputs: (params) => params,
      gradients: unused,
      gradientsOn: unused,
      distributions: unused,
    },
  };
}

/** Where Σ weight · gradient = 0, for quadratics. */
export function commonOptimum(owners: readonly QuadraticOwner[]): number[] {
  return [0, 1].map((i) => {
    const at = (x: number) => owners.reduce((sum, o) => sum + o.weight * o.gradient([x, x])[i]!, 0);
    // Linear: from its values at 0 and 1.
    return at(0) / (at(0) - at(1));
  });
}
