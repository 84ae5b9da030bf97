import { describe, expect, it } from 'vitest';
import {
  float64,
  interpretingExecutor,
  randomModel,
  type SmallModel,
} from '../../test/support/random-models.ts';
import { distance, setup, TRAIN, toyExamples } from '../../test/training-setup.ts';
import { rng } from '../base/random.ts';
import type { Params } from '../base/tensor.ts';
import type { TokenizedExample } from '../data/types.ts';
import { ARCHITECTURES } from '../models/registry.ts';
import { clippedToNorm } from '../privacy/clip.ts';
import { ia3 } from '../tuning/ia3.ts';
import type { BoundTuning } from '../tuning/kind.ts';
import { lora } from '../tuning/lora.ts';
import { accumulatedGradients, targetBatches } from './accumulate.ts';
import type { ExamplePrivacyOptions, TrainOptions } from './engine.ts';
import { meanOverTargets } from './objectives/language-modelling.ts';
import { privateSource } from './private-step.ts';
import { createRunner, type Runner } from './runner.ts';
import { batchesBehind } from './virtual-tokens.ts';

const LENGTHS = [4, 7, 2, 5];

function examplesFor({ definition }: SmallModel): TokenizedExample[] {
  const random = rng('private', 'data');
  return LENGTHS.map((length) => {
    const tokens = Int32Array.from({ length }, () => 2 + random.below(definition.shape.vocabSize - 2));
    const supervised = Uint8Array.from(tokens, (_, i) => (i === 0 ? 0 : 1));
    return { tokens, supervised, numTargets: length - 1 };
  });
}

async function values(tuning: BoundTuning): Promise<Params> {
  const fresh = await tuning.init(rng('private'), async () => new Float32Array());
  return new Map(
    [...fresh].map(([name, { shape, data }]) => {
      const random = rng('private', name);
      return [
        name,
        float64(
          shape,
          Float64Array.from(data, (x) => x + 0.3 * random.normal()),
        ),
      ];
    }),
  );
}

/** Gradients of the mean loss of each example, from one pass. */
async function byExample(runner: Runner, params: Params, examples: readonly TokenizedExample[]) {
  const [batch] = batchesBehind(undefined, examples, { batchSize: examples.length + 1, maxLength: 7 });
  const counts = examples.map(({ numTargets }) => numTargets);
  const weights = batch!.targetMask.map((mask, slot) =>
    mask === 0 ? 0 : 1 / counts[batch!.targetExample[slot]!]!,
  );
  const loss = meanOverTargets.partOf({ ...batch!, targetMask: weights }, 1, []);
  return runner.differentiateEach!(params, batch!, loss, rng('dropout'), new Set());
}

describe('gradients by example', () => {
  // Encoders train a head beside their adapter, and take a pass for each example.
  const decoders = [...ARCHITECTURES.keys()].filter((id) => !id.includes('bert'));

  it.each(decoders)('%s: are those of runs with one example each, in float64', async (id) => {
    const model = randomModel(id, 1);
    const tuning = lora.bind(lora.options.parse({ rank: 2, alpha: 3 }), model.definition);
    const runner = createRunner({ model, tuning, executor: interpretingExecutor() });
    const params = await values(tuning);
    const examples = examplesFor(model);
    const { grads } = await byExample(runner, params, examples);
    for (const [row, example] of examples.entries()) {
      const alone = batchesBehind(undefined, [example], { batchSize: 1, maxLength: 7 });
      const expected = await accumulatedGradients(runner, params, targetBatches(alone));
      for (const [name, { data }] of expected.grads) {
        const all = grads.get(name)!;
        expect(all.shape).toEqual([LENGTHS.length + 1, ...expected.grads.get(name)!.shape]);
        const own = all.data.subarray(row * data.length, (row + 1) * data.length);
        for (const [i, x] of data.entries())
          expect(Math.abs(own[i]! - x)).toBeLessThanOrEqual(1e-6 * Math.abs(x) + 1e-7);
      }
    }
  });
});

const bindLora = (options: object) => (model: { definition: Parameters<typeof lora.bind>[1] }) =>
  lora.bind(lora.options.parse({ rank: 4, ...options }), model.definition);
const llama = await setup('huggingface/llama', bindLora({}));
const V = llama.model.definition.shape.vocabSize;
const { maxGradNorm: _, ...UNCLIPPED } = TRAIN;
const STEP: TrainOptions = {
  ...UNCLIPPED,
  optimizer: { ...TRAIN.optimizer, kind: 'sgd', learningRate: 1, weightDecay: 0 },
  schedule: { kind: 'constant', warmupSteps: 0, minFactor: 0 },
  steps: 1,
  totalSteps: 1,
  batchSize: 9,
  microBatchSize: 4,
};
const examples = toyExamples([9, 24, 5, 17, 30, 12, 8, 21, 3], V);
/** The same number of targets in each: the mean over targets is the mean over examples. */
const even = toyExamples(
  Array.from({ length: 9 }, () => 12),
  V,
  7,
);

const privacy = (options: Partial<ExamplePrivacyOptions>): ExamplePrivacyOptions => ({
  ...{ clipNorm: 1e30, noiseMultiplier: 0, samplingRate: 1, randomness: 'simulated' },
  ...options,
});

async function gradientOf(
  subject: typeof llama,
  data: readonly TokenizedExample[],
  options: Partial<TrainOptions>,
  frozen: ReadonlySet<string> = new Set(),
): Promise<Params> {
  const { params } = await subject.engine.train(subject.params, data, { ...STEP, ...options }, undefined, {
    frozen,
  });
  return new Map(
    [...params].map(([name, value]) => {
      const before = subject.params.get(name)!.data;
      return [name, { ...value, data: value.data.map((after, i) => before[i]! - after) }];
    }),
  );
}

const normOf = (params: Params) =>
  Math.sqrt([...params.values()].reduce((sum, { data }) => data.reduce((s, x) => s + x * x, sum), 0));

describe('a private step', () => {
  it('is the plain one with all examples, no noise and no clipping', async () => {
    const plain = await gradientOf(llama, even, {});
    expect(distance(await gradientOf(llama, even, { privacy: privacy({}) }), plain)).toBeLessThan(1e-4);
    // The check can fail: examples with many targets count like those with few.
    const uneven = await gradientOf(llama, examples, { privacy: privacy({}) });
    expect(distance(uneven, await gradientOf(llama, examples, {}))).toBeGreaterThan(1e-2);
  });

  it('adds up what was clipped over all trained tensors, by batch and one by one', async () => {
    const frozen = new Set([...llama.params.keys()].filter((name) => name.includes('lora_A')));
    const clipNorm = 0.05;
    const expected = new Map<string, Float64Array>();
    for (const example of examples) {
      const { grads } = await llama.engine.gradients(llama.params, [example], { maxLength: 64, frozen });
      const { arrays, norm } = clippedToNorm(
        [...grads.values()].map(({ data }) => data),
        clipNorm,
      );
      expect(norm).toBeGreaterThan(clipNorm);
      for (const [i, name] of [...grads.keys()].entries()) {
        const sum = expected.get(name) ?? new Float64Array(arrays[i]!.length);
        expected.set(
          name,
          sum.map((x, j) => x + arrays[i]![j]! / examples.length),
        );
      }
    }
    const mean: Params = new Map(
      [...expected].map(([name, data]) => [
        name,
        { ...llama.params.get(name)!, data: Float32Array.from(data) },
      ]),
    );
    const moved = await gradientOf(llama, examples, { privacy: privacy({ clipNorm }) }, frozen);
    const trained = new Map([...moved].filter(([name]) => !frozen.has(name)));
    expect(distance(trained, mean)).toBeLessThan(1e-3);
    expect(normOf(new Map([...moved].filter(([name]) => frozen.has(name))))).toBe(0);
  });

  it('takes kinds without copies by one pass for each example', async () => {
    const subject = await setup('huggingface/llama', (model) =>
      ia3.bind(ia3.options.parse({}), model.definition),
    );
    const plain = await gradientOf(subject, even, {});
    expect(distance(await gradientOf(subject, even, { privacy: privacy({}) }), plain)).toBeLessThan(1e-4);
    const bounded = await gradientOf(subject, even, { privacy: privacy({ clipNorm: 0.01 }) });
    expect(normOf(bounded)).toBeLessThanOrEqual(0.0101);
  });

  it('has noise of standard deviation z C / (q n), the same of an empty sample', async () => {
    const size = [...llama.params.values()].reduce((sum, { data }) => sum + data.length, 0);
    for (const samplingRate of [1e-12, 0.5]) {
      const options = privacy({ clipNorm: 1e-3, noiseMultiplier: 2, samplingRate });
      const noise = await gradientOf(llama, examples, { privacy: { ...options, clipNorm: 1e-3 } });
      const std = normOf(noise) / Math.sqrt(size);
      const expected = (2 * 1e-3) / (samplingRate * examples.length);
      expect(Math.abs(std / expected - 1)).toBeLessThan(5 / Math.sqrt(2 * size) + 0.02);
    }
  });

  it('is the same again where it is simulated, and never where it is secret', async () => {
    const options = privacy({ clipNorm: 0.1, noiseMultiplier: 1, samplingRate: 0.5 });
    const again = async (randomness: 'simulated' | 'secret') => {
      const train = () => gradientOf(llama, examples, { steps: 2, privacy: { ...options, randomness } });
      return distance(await train(), await train());
    };
    expect(await again('simulated')).toBe(0);
    expect(await again('secret')).toBeGreaterThan(0.1);
  });

  it('draws each example on its own', () => {
    const source = privateSource(privacy({ samplingRate: 0.3 }), ['seed']);
    const sizes = Array.from({ length: 400 }, (_, step) => source.sample(step, 50).length);
    const mean = sizes.reduce((a, b) => a + b, 0) / sizes.length;
    const variance = sizes.reduce((sum, x) => sum + (x - mean) ** 2, 0) / sizes.length;
    // Binomial(50, 0.3): 15 and 10.5; five standard errors.
    expect(Math.abs(mean - 15)).toBeLessThan(5 * Math.sqrt(10.5 / 400));
    expect(Math.abs(variance - 10.5)).toBeLessThan(5 * 10.5 * Math.sqrt(2 / 400));
    expect(privateSource(privacy({}), ['seed']).sample(0, 7)).toHaveLength(7);
  });
});
