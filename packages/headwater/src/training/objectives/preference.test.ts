import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { float64, interpretingExecutor, randomModel } from '../../../test/support/random-models.ts';
import { distance, FIXTURES, TRAIN, toyExamples } from '../../../test/training-setup.ts';
import { rng } from '../../base/random.ts';
import { type Params, tensor } from '../../base/tensor.ts';
import type { TokenizedExample } from '../../data/types.ts';
import { scaled } from '../../federation/params.ts';
import { gradients } from '../../graph/autodiff.ts';
import { crossEntropy, targetLosses } from '../../graph/cross-entropy.ts';
import { Graph } from '../../graph/ir.ts';
import { mul, reduceSum } from '../../graph/ops/index.ts';
import { interpret } from '../../graph/reference.ts';
import { openCheckpoint } from '../../models/checkpoint-node.ts';
import { createNodeExecutor } from '../../runtime/onnx-node.ts';
import { frozen } from '../../tuning/frozen.ts';
import { tuningKinds } from '../../tuning/registry.ts';
import { accumulatedGradients, accumulatedLoss } from '../accumulate.ts';
import { readAdapterFolder } from '../adapter-folder-node.ts';
import { createEngine } from '../engine-core.ts';
import { createRunner } from '../runner.ts';
import { stepBatches } from '../step-batches.ts';
import type { BoundObjective } from './objective.ts';
import { objectives } from './registry.ts';

function bound(kind: string, options: object = {}): BoundObjective {
  const record = objectives.get(kind)!;
  return record.bind(record.options.parse(options));
}

function sequence(prompt: readonly number[], answer: readonly number[]): TokenizedExample {
  const tokens = Int32Array.from([...prompt, ...answer]);
  const supervised = new Uint8Array(tokens.length).fill(1, prompt.length);
  return { tokens, supervised, numTargets: answer.length };
}

function swapped({ rejected, reference, ...chosen }: TokenizedExample): TokenizedExample {
  return {
    ...rejected!,
    rejected: chosen,
    reference: { chosen: reference!.rejected, rejected: reference!.chosen },
  };
}

const golden = JSON.parse(readFileSync(join(FIXTURES, 'preference/goldens.json'), 'utf8')) as {
  pairs: { prompt: number[]; chosen: number[]; rejected: number[] }[];
  logps: [number, number][];
  reference: [number, number][];
  objectives: Record<string, { loss: number; gradNorm: number; grads: Record<string, number[]> }>;
};
const PAIRS = golden.pairs.map(({ prompt, chosen, rejected }, i) => ({
  ...sequence(prompt, chosen),
  rejected: sequence(prompt, rejected),
  reference: { chosen: golden.reference[i]![0], rejected: golden.reference[i]![1] },
}));

/** The fixture model with its adapter. */
async function adapted() {
  const folder = join(FIXTURES, 'huggingface/llama');
  const model = await openCheckpoint(folder);
  const { tuning, params } = await readAdapterFolder(join(folder, 'adapter'), model.definition);
  const parts = { model, tuning, executor: createNodeExecutor() };
  const gradient = (objective: BoundObjective, pairs: readonly TokenizedExample[]) =>
    createEngine({ ...parts, objective }).gradients(params, pairs, { maxLength: 32 });
  return {
    model,
    params,
    gradient,
    engine: (objective: BoundObjective) => createEngine({ ...parts, objective }),
  };
}

describe('preference objectives next to torch', () => {
  const CASES: Readonly<Record<string, BoundObjective>> = {
    dpo: bound('dpo'),
    'dpo-normalised': bound('dpo', { lengthNormalised: true }),
    'dpo-0.5-smoothed': bound('dpo', { beta: 0.5, labelSmoothing: 0.2 }),
    'dpo-0.5-smoothed-normalised': bound('dpo', { beta: 0.5, labelSmoothing: 0.2, lengthNormalised: true }),
    ipo: bound('ipo'),
    'ipo-normalised': bound('ipo', { lengthNormalised: true }),
  };

  it.each(Object.entries(golden.objectives))('%s: loss and LoRA gradients', async (name, expected) => {
    const { gradient } = await adapted();
    const { loss, grads } = await gradient(CASES[name]!, PAIRS);
    expect(loss / expected.loss).toBeCloseTo(1, 5);
    for (const [tensorName, values] of Object.entries(expected.grads)) {
      const error = Math.hypot(...values.map((value, i) => value - grads.get(tensorName)!.data[i]!));
      expect(error).toBeLessThan(1e-4 * expected.gradNorm);
      expect(Math.hypot(...values)).toBeGreaterThan(1e-3 * expected.gradNorm);
    }
    const norm = Math.hypot(...[...grads.values()].map(({ data }) => Math.hypot(...data)));
    expect(norm / expected.gradNorm).toBeCloseTo(1, 4);
  });

  it('the reference is the model without its adapter', async () => {
    const { model } = await adapted();
    const engine = createEngine({ model, tuning: frozen, executor: createNodeExecutor() });
    const scores = await engine.score(
      new Map(),
      PAIRS.flatMap(({ rejected, ...chosen }) => [chosen, rejected]),
      { batchSize: 4, maxLength: 32 },
    );
    for (const [i, expected] of golden.reference.flat().entries())
      expect(-scores[i]!.nll).toBeCloseTo(expected, 3);
  });
});

describe('DPO', () => {
  const own = PAIRS.map((pair, i) => ({
    ...pair,
    reference: { chosen: golden.logps[i]![0], rejected: golden.logps[i]![1] },
  }));

  it('begins at ln 2, with a gradient that swapped labels turn round', async () => {
    const { gradient } = await adapted();
    const there = await gradient(bound('dpo'), own);
    const back = await gradient(bound('dpo'), own.map(swapped));
    expect(there.loss).toBeCloseTo(Math.LN2, 5);
    expect(back.loss).toBeCloseTo(Math.LN2, 5);
    expect(distance(scaled(back.grads, -1), there.grads)).toBeLessThan(1e-4);
  });

  it('for small β pulls β/2 times as hard as the difference of the log-likelihoods, wherever it is', async () => {
    const { gradient } = await adapted();
    const beta = 1e-4;
    const { loss, grads } = await gradient(bound('dpo', { beta }), PAIRS);
    expect(loss).toBeCloseTo(Math.LN2, 3);
    const language = bound('language-modelling');
    const sums = new Map<string, Float64Array>();
    for (const { rejected, reference: _, ...chosen } of PAIRS)
      for (const [one, sign] of [
        [chosen, 1],
        [rejected, -1],
      ] as const) {
        const nll = await gradient(language, [one]);
        for (const [name, { data }] of nll.grads) {
          const sum = sums.get(name) ?? new Float64Array(data.length);
          for (const [i, value] of data.entries())
            sum[i]! += (sign * beta * one.numTargets * value) / (2 * PAIRS.length);
          sums.set(name, sum);
        }
      }
    const expected = new Map(
      [...sums].map(([name, data]) => [name, tensor('float32', [data.length], Float32Array.from(data))]),
    );
    expect(distance(grads, expected)).toBeLessThan(2e-3);
  });

  it('learns nothing from the same answer twice', async () => {
    const { gradient } = await adapted();
    const same = own.map(({ rejected: _, reference, ...chosen }) => ({
      ...chosen,
      rejected: chosen,
      reference: { chosen: reference.chosen, rejected: reference.chosen },
    }));
    const [none, some] = [await gradient(bound('dpo'), same), await gradient(bound('dpo'), own)];
    expect(none.loss).toBeCloseTo(Math.LN2, 6);
    const norm = ({ grads }: { grads: Params }) =>
      Math.hypot(...[...grads.values()].map(({ data }) => Math.hypot(...data)));
    expect(norm(none)).toBeLessThan(1e-5 * norm(some));
  });

  it('smoothed labels are a mixture of right and wrong ones', async () => {
    const { engine, params } = await adapted();
    const loss = (pairs: readonly TokenizedExample[], labelSmoothing = 0) =>
      engine(bound('dpo', { beta: 0.5, labelSmoothing })).loss(params, pairs, {
        batchSize: 2,
        maxLength: 32,
      });
    const [right, wrong, mixed] = [await loss(PAIRS), await loss(PAIRS.map(swapped)), await loss(PAIRS, 0.3)];
    expect(wrong - right).not.toBeCloseTo(0, 2);
    expect(mixed).toBeCloseTo(0.7 * right + 0.3 * wrong, 5);
  });

  it('is trained: the loss falls, the reward margin grows, in passes of one pair as in one', async () => {
    const { engine, params } = await adapted();
    const options = { ...TRAIN, steps: 6, totalSteps: 6, batchSize: 3, microBatchSize: 3, maxLength: 32 };
    const whole = await engine(bound('dpo')).train(params, own, options);
    const apart = await engine(bound('dpo')).train(params, own, { ...options, microBatchSize: 1 });
    const [first, last] = [whole.steps[0]!, whole.steps.at(-1)!];
    expect(first.loss).toBeCloseTo(Math.LN2, 5);
    expect(last.loss).toBeLessThan(0.9 * first.loss);
    expect(last.figures!.rewardMargin!).toBeGreaterThan(0);
    expect(last.figures!.rewardAccuracy).toBe(1);
    expect(first.numTargets).toBe(35);
    expect(distance(apart.params, whole.params)).toBeLessThan(1e-3);
    expect(apart.steps.at(-1)!.figures!.rewardMargin).toBeCloseTo(last.figures!.rewardMargin!, 4);
    expect(whole.figures!.rewardMargin).toBeCloseTo(
      whole.steps.reduce((sum, { figures }) => sum + figures!.rewardMargin! / 6, 0),
      6,
    );
  });

  it('weighs the last, smaller pass of a step by its pairs', async () => {
    const { engine, params } = await adapted();
    const loss = (batchSize: number) =>
      engine(bound('ipo')).loss(params, PAIRS, { batchSize, maxLength: 32 });
    expect(await loss(2)).toBeCloseTo(await loss(3), 4);
  });
});

const DIFFERENTIABLE: readonly [string, object][] = [
  ['dpo', { beta: 0.7 }],
  ['dpo', { beta: 0.7, labelSmoothing: 0.2, lengthNormalised: true }],
  ['ipo', { beta: 0.2 }],
];

it.each(DIFFERENTIABLE)('%s %j: the gradient is the derivative, in float64', async (kind, options) => {
  const model = randomModel('llama', 1);
  const lora = tuningKinds.get('lora')!;
  const tuning = lora.bind(lora.options.parse({ rank: 2, alpha: 3 }), model.definition);
  const fresh = await tuning.init(rng(1), async (name) => model.tensors.get(name)!.data);
  const at = (step: number): Params =>
    new Map(
      [...fresh].map(([name, { shape, data }]) => {
        const [random, along] = [rng('at', name), rng('along', name)];
        const moved = Float64Array.from(data, (x) => x + 0.2 * random.normal() + step * along.normal());
        return [name, float64(shape, moved)];
      }),
    );
  const [a, b, c, d] = toyExamples([5, 7, 6, 4], model.definition.shape.vocabSize);
  const pairs = [
    { ...a!, rejected: b!, reference: { chosen: -9, rejected: -12 } },
    { ...c!, rejected: d!, reference: { chosen: -11, rejected: -7 } },
  ];
  const runner = createRunner({ model, tuning, executor: interpretingExecutor() });
  const step = stepBatches(bound(kind, options), undefined, pairs, { batchSize: 2, maxLength: 8 });
  const { grads } = await accumulatedGradients(runner, at(0), step);
  const loss = async (distance: number) => (await accumulatedLoss(runner, at(distance), step)).loss;
  const measured = ((await loss(1e-5)) - (await loss(-1e-5))) / 2e-5;
  let predicted = 0;
  for (const [name, { data }] of grads) {
    const along = rng('along', name);
    for (const value of data) predicted += value * along.normal();
  }
  expect(Math.abs(predicted)).toBeGreaterThan(1e-3);
  // Feeds are float32: what is fixed in them does not disturb the difference.
  expect(measured / predicted).toBeCloseTo(1, 5);
});

it('losses of targets, weighed, are the cross-entropy, in one chunk and in several', () => {
  const [M, D, V] = [7, 3, 5];
  const random = rng('targets');
  const normals = (count: number) => Float32Array.from({ length: count }, () => random.normal());
  const ids = tensor(
    'int32',
    [M],
    Int32Array.from({ length: M }, () => random.below(V)),
  );
  const feeds = new Map([
    ['rows', tensor('float32', [M, D], normals(M * D))],
    ['weight', tensor('float32', [V, D], normals(V * D))],
    ['bias', tensor('float32', [V], normals(V))],
    ['weights', tensor('float32', [M], normals(M))],
  ]);
  const run = (joined: boolean, chunkBytes: number) => {
    const graph = new Graph();
    const input = (name: string) => graph.input(name, 'float32', feeds.get(name)!.shape);
    const [rows, weight, bias, weights] = ['rows', 'weight', 'bias', 'weights'].map(input);
    const projection = { rows: rows!, weight: weight!, bias: bias!, softCap: 4 };
    const targets = graph.constant(ids);
    const loss = joined
      ? reduceSum(mul(targetLosses(projection, targets, chunkBytes), weights!), [0])
      : crossEntropy(projection, targets, weights!, chunkBytes);
    graph.output('loss', loss);
    for (const [i, grad] of gradients(loss, [rows!, weight!, bias!]).entries()) graph.output(`${i}`, grad);
    return interpret(graph, feeds);
  };
  const expected = run(false, 2 ** 20);
  for (const chunkBytes of [2 ** 20, 4 * V * 2])
    for (const [name, { data }] of run(true, chunkBytes))
      for (const [i, value] of data.entries()) expect(value).toBeCloseTo(expected.get(name)!.data[i]!, 12);
});
