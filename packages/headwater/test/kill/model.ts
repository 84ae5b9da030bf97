/**
 * What is trained in the kill matrix: one matrix, pulled by every owner in a direction of its own. The product's own plan,
 * check and exact aggregation, with a training that costs nothing and is a pure function of owner, round and params.
 */

import { createHash } from 'node:crypto';
import { appendFileSync } from 'node:fs';
import { maskedRound, maskFactsOf } from '../../sim/works.ts';
import { digestJson } from '../../src/base/canonical.ts';
import { type Rng, rng } from '../../src/base/random.ts';
import { type Params, sizeOf, tensor } from '../../src/base/tensor.ts';
import type { Trainer } from '../../src/client/ports.ts';
import type { RunWorks } from '../../src/coordinator/ports.ts';
import { aggregateRound } from '../../src/federation/aggregate.ts';
import type { AggregateWork } from '../../src/federation/events.ts';
import { checkMaskedStream } from '../../src/federation/masking/masked-sum.ts';
import { bindMethod } from '../../src/federation/method.ts';
import { fedavg } from '../../src/federation/methods/fedavg.ts';
import { decodeParams, encodedBytes, encodeParams } from '../../src/federation/params.ts';
import { createPlan, type Pace, type RunPlan } from '../../src/federation/plan.ts';
import { checkUpdateStream } from '../../src/federation/update-check.ts';
import { writeFileAtomically } from '../../src/storage/atomic-file.ts';
import type { Blobs } from '../../src/storage/blobs.ts';

/** The recipe of such a run. */
export interface KillRecipe {
  readonly seed: number;
  readonly rounds: number;
  /** Of 1024 numbers each: 4 kB. */
  readonly rows: number;
  readonly owners: readonly string[];
  readonly cohortSize: number;
  readonly quorum: number;
  readonly pace: Partial<Pace>;
  /** The owners of a round open the masks together. */
  readonly masked?: true;
  /** Where the result goes. */
  readonly out: string;
}

export const RUN = 'demo';
const NAME = 'layers.0.q_proj.lora_A';
const BASE_MODEL = digestJson('the base model of the kill matrix');
const method = bindMethod(fedavg, {});
const ASSUMED = { adversaries: 0.1, dropouts: 0.2 };
/** As clients read it. */
const AGREED_MASKS = { privacy: { secureAggregation: { mode: 'secagg-plus', ...ASSUMED } } };

const shapeOf = ({ rows }: KillRecipe) => [rows, 1024] as const;

function matrix(recipe: KillRecipe, fill: (data: Float32Array) => void): Params {
  const shape = shapeOf(recipe);
  const data = new Float32Array(sizeOf(shape));
  fill(data);
  return new Map([[NAME, tensor('float32', shape, data)]]);
}

/** Uniform in [0, 1). */
function addNoise(data: Float32Array, random: Rng, scale: number): void {
  for (let i = 0; i < data.length; i++) data[i] = data[i]! + scale * random.uint32() * 2 ** -32;
}

export function initialParams(recipe: KillRecipe): Uint8Array {
  return encodeParams(matrix(recipe, (data) => addNoise(data, rng(recipe.seed, 'init'), 1)));
}

/** update = 0.3 (target − params) + noise. */
export function trained(recipe: KillRecipe, owner: string, round: number, params: Uint8Array): Uint8Array {
  const here = decodeParams(params).get(NAME)!.data;
  const target = rng(recipe.seed, 'target', owner).uniform() * 4 - 2;
  const update = matrix(recipe, (data) => {
    for (let i = 0; i < data.length; i++) data[i] = 0.3 * (target - here[i]!);
    addNoise(data, rng(recipe.seed, 'noise', owner, round), 0.1);
  });
  return encodeParams(update);
}

export async function aggregated(
  { round, members }: Pick<AggregateWork, 'round' | 'members'>,
  plan: RunPlan,
  params: Uint8Array,
  load: (digest: string) => Promise<Uint8Array>,
) {
  const { fixedPoint, serverLearningRate } = plan;
  const input = { round, members, serverLearningRate, serverState: undefined, params: decodeParams(params) };
  return aggregateRound(method, fixedPoint, input, async (digest) => decodeParams(await load(digest)));
}

export function killWorks(recipe: KillRecipe, blobs: Blobs): RunWorks {
  return {
    manifest: {
      seed: recipe.seed,
      recipe: { rounds: recipe.rounds, ...(recipe.masked ? AGREED_MASKS : {}) },
      model: { source: 'matrix', digest: BASE_MODEL, files: [] },
      minCohort: recipe.quorum,
      metrics: ['loss'],
      privacy: [],
    },
    minOwners: recipe.owners.length,
    modelFile: () => undefined,
    init: async () => ({
      params: await blobs.put(initialParams(recipe)),
      tensors: [{ name: NAME, shape: shapeOf(recipe) }],
    }),
    plan: async ({ params, tensors }, owners) => ({
      plan: planOf(recipe, params, tensors, owners),
      provenance: null,
    }),
    updateBytes: () => encodedBytes(matrix(recipe, () => undefined)),
    ...(recipe.masked ? { maskFacts: (plan: RunPlan) => maskFactsOf(plan) } : {}),
    check: (plan, _, source) =>
      recipe.masked ? checkMaskedStream(source, plan.tensors) : checkUpdateStream(source, plan.tensors),
    async aggregate(work, plan, _, unmask) {
      if (unmask !== undefined) return maskedRound(blobs, work, plan, unmask);
      const params = await blobs.get(work.params);
      const output = await aggregated(work, plan, params, (digest) => blobs.get(digest));
      const { report, aggregateNorm } = output;
      return {
        params: await blobs.put(encodeParams(output.params)),
        serverState: null,
        report,
        aggregateNorm,
      };
    },
    publish: async ({ params }) => writeFileAtomically(recipe.out, await blobs.get(params)),
    report: async (events) => appendFileSync(`${recipe.out}.reports`, `${events.length}\n`),
    close: async () => undefined,
  };
}

function planOf(
  recipe: KillRecipe,
  initial: string,
  tensors: RunPlan['tensors'],
  owners: Parameters<RunWorks['plan']>[1],
): RunPlan {
  const { seed, rounds, cohortSize, quorum, pace } = recipe;
  const common = { seed, owners, tensors, rounds, cohortSize, quorum, localSteps: 1, arms: [] } as const;
  return createPlan(
    {
      ...common,
      baseModel: BASE_MODEL,
      initialParams: initial,
      method: { kind: 'fedavg' },
      weighting: 'examples',
      serverLearningRate: 1,
      ...(recipe.masked
        ? { fixedPoint: {}, secureAggregation: { mode: 'secagg-plus', assumed: ASSUMED } as const }
        : { fixedPoint: { fractionBits: 30, range: 8 } }),
      earlyStopping: null,
      keepBest: false,
      validateEveryRounds: 2,
      test: true,
      pace: { belowQuorum: 'extend', evaluatedBy: 'owners', asked: cohortSize, ...pace },
    },
    method,
  );
}

export function killTrainer(recipe: KillRecipe, owner: string): Trainer {
  const numExamples = 10 + recipe.owners.indexOf(owner);
  const stats = { steps: 1, numExamples: 1, numTokens: 10, numTargets: 5, meanLoss: 1, lastLoss: 1 };
  return {
    counts: { numExamples, numTokens: 10 * numExamples, heldOut: { validation: 1, test: 1 } },
    maxParamsBytes: 1e9,
    train: async ({ round }, params) => ({
      update: trained(recipe, owner, round, params),
      kept: undefined,
      stats,
    }),
    evaluate: async (_, params) => {
      // A figure of the params' very bytes: scores of other params would show in the journal.
      const loss = createHash('sha256').update(params).digest().readUInt32BE();
      return { numExamples: 1, numTargets: 1, scores: { loss } };
    },
    close: async () => undefined,
  };
}
