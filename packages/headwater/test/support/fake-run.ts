/**
 * Test helper: a whole run in one process with a fake engine. The engine's "training" is a hash-like function of params,
 * examples, seeds and steps, so that anything that should not matter (order, crashes, who did it) would show in the bits.
 */

import { rng } from '../../src/base/random.ts';
import { type Params, tensor } from '../../src/base/tensor.ts';
import type { TextCodec } from '../../src/data/tokenize.ts';
import type { Example, TokenizedExample } from '../../src/data/types.ts';
import type { BoundCompression } from '../../src/federation/compression/compression.ts';
import { plain } from '../../src/federation/compression/none.ts';
import { type BoundMethod, bindMethod } from '../../src/federation/method.ts';
import { fedavg } from '../../src/federation/methods/fedavg.ts';
import { createPlan, type PlanInput, type RunPlan } from '../../src/federation/plan.ts';
import { prepareEvaluation } from '../../src/jobs/evaluation-set.ts';
import { createJobRunner } from '../../src/jobs/job-runner.ts';
import type { Pool } from '../../src/jobs/pool.ts';
import { recipeShape } from '../../src/recipe/schema.ts';
import { planArms } from '../../src/runs/baselines.ts';
import { createGate } from '../../src/simulation/gate.ts';
import type { Performer } from '../../src/simulation/perform.ts';
import type { Blobs } from '../../src/storage/blobs.ts';
import type { Engine } from '../../src/training/engine.ts';
import { exactMatch } from '../../src/training/tasks/exact-match.ts';
import type { EvaluationTask } from '../../src/training/tasks/task.ts';

export const fakeTensors = [
  { name: 'lora_A', shape: [2] },
  { name: 'lora_B', shape: [3, 1] },
];
const OWNERS = ['a', 'b', 'c'];

export const fakeRecipe = recipeShape.parse({
  name: 'fake',
  seed: 11,
  model: 'none',
  data: { train: { files: 'none' }, schema: { kind: 'text' }, maxLength: 8 },
  tuning: { kind: 'lora' },
  training: { batchSize: 2, optimizer: { learningRate: 0.1 } },
  federation: { rounds: 3, localSteps: 2 },
  evaluation: { tasks: [{ kind: 'exact-match' }] },
});

/** One token a character; everything behind the first is learnt. */
export const fakeCodec = {
  tokenizer: {
    encode: (text: string) => Int32Array.from(text, (c) => c.charCodeAt(0)),
    eosTokenId: undefined,
    tokenOf: () => undefined,
  },
  chatTemplate: undefined,
} as unknown as TextCodec;

export function textExample(text: string, owner: string, label?: string): Example {
  return { kind: 'text', text, meta: { where: 'test:1', owner, ...(label === undefined ? {} : { label }) } };
}

const trainingData: ReadonlyMap<string, readonly TokenizedExample[]> = new Map(
  OWNERS.map((owner, i) => [
    owner,
    Array.from({ length: 3 + i }, (_, k) => {
      const tokens = Int32Array.of(i, k, 7);
      return { tokens, supervised: Uint8Array.of(0, 1, 1), numTargets: 2 };
    }),
  ]),
);

const heldOutSet = prepareEvaluation(
  OWNERS.flatMap((owner) => [textExample(`${owner}xy`, owner), textExample(`${owner}z`, owner)]),
  [{ task: exactMatch as EvaluationTask<unknown>, options: {} }],
  { codec: fakeCodec, maxLength: 8 },
);

export const fakeEngine: Engine = {
  ...({} as Engine),
  async train(params, examples, options, onStep) {
    const stream = rng(...options.seedPath, examples.map(({ tokens }) => [...tokens].join()).join('|'));
    const moved = [...params].map(([name, { shape, data }]) => {
      const next = data.map((x) => Math.fround(x * 0.9 + stream.normal() * 0.1));
      return [name, tensor('float32', shape, next)] as const;
    });
    const steps = Array.from({ length: options.steps }, (_, i) => ({
      step: options.stepOffset + i + 1,
      loss: 2 + stream.uniform(),
      gradNorm: 1,
      learningRate: 0.1,
      numTokens: 6,
      numTargets: 4,
    }));
    for (const step of steps) onStep?.(step);
    const n = options.steps;
    return {
      params: new Map(moved),
      steps,
      meanLoss: 2,
      numExamples: 2 * n,
      numTokens: 6 * n,
      numTargets: 4 * n,
    };
  },
  async score(params, examples) {
    const level = Math.abs([...params.values()].reduce((sum, { data }) => sum + data[0]!, 0));
    return examples.map(({ numTargets, tokens }) => ({
      nll: numTargets * (1 + level) + tokens[0]! / 1000,
      numTargets,
      numCorrect: level > 1 ? numTargets : 0,
    }));
  },
};

export async function fakePlanIn(blobs: Blobs, change: Partial<PlanInput> = {}): Promise<RunPlan> {
  const { result } = await fakePool(blobs).run({ kind: 'init', seed: 11, adapter: null }, 0);
  const { params, tensors } = result;
  const budget = {
    owners: OWNERS,
    rounds: 3,
    cohortSize: 3,
    localSteps: 2,
    localOnly: true,
    centralised: true,
  };
  return createPlan(
    {
      seed: 11,
      owners: [...trainingData].map(([owner, list]) => ({
        owner,
        numExamples: list.length,
        numTokens: 3 * list.length,
      })),
      tensors,
      baseModel: 'base',
      initialParams: params,
      method: { kind: 'fedavg' },
      rounds: 3,
      localSteps: 2,
      weighting: 'examples',
      serverLearningRate: 1,
      fixedPoint: { fractionBits: 30, range: 8 },
      earlyStopping: null,
      keepBest: true,
      arms: planArms(budget),
      validateEveryRounds: 1,
      test: true,
      ...change,
    },
    bindMethod(fedavg, {}),
  );
}

/** Jobs run at once, in the order they are asked for, each in its own turn of the event loop. */
export function fakePool(
  blobs: Blobs,
  method: BoundMethod = bindMethod(fedavg, {}),
  engine: Engine = fakeEngine,
  exported: (params: Params) => void = () => undefined,
  compression: BoundCompression = plain,
): Pool {
  const heldOut = { pieces: heldOutSet.pieces, owners: heldOutSet.pieceOwner, prompts: [], promptOwners: [] };
  const runner = createJobRunner({
    engine,
    tuning: { tensors: fakeTensors },
    method,
    compression,
    maxUpdateNorm: null,
    blobs,
    train: trainingData,
    heldOut: { validation: heldOut, test: heldOut },
    initialParams: async (seed) =>
      new Map(
        fakeTensors.map(({ name, shape }) => {
          const size = shape.reduce((product, n) => product * n, 1);
          const stream = rng(seed, name);
          return [
            name,
            tensor(
              'float32',
              shape,
              Float32Array.from({ length: size }, () => stream.normal()),
            ),
          ];
        }),
      ),
    exportParams: async (params) => exported(params),
    tokenizer: async () => fakeCodec.tokenizer,
  });
  return {
    size: 1,
    run: async (job, _rank, onStep) => ({ result: await runner.run(job, onStep), tookMs: 0 }),
    close: async () => undefined,
  };
}

export function fakePerformer(plan: RunPlan, pool: Pool): Performer {
  return {
    pool,
    plan,
    recipe: fakeRecipe,
    heldOut: { validation: heldOutSet, test: heldOutSet },
    background: createGate(1),
    exportFolder: 'out',
  };
}
