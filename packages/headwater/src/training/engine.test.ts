import { describe, expect, it } from 'vitest';
import { distance, setup, TRAIN, toyExamples } from '../../test/training-setup.ts';
import { HeadwaterError } from '../base/errors.ts';
import { full } from '../tuning/full.ts';
import { lora } from '../tuning/lora.ts';
import type { StepReport, TrainOptions } from './engine.ts';

const bindLora =
  (options: object) => (model: Parameters<typeof lora.bind>[1] extends infer L ? { definition: L } : never) =>
    lora.bind(lora.options.parse({ rank: 4, ...options }), model.definition);

const { engine, params, model } = await setup('huggingface/llama', bindLora({}));
const V = model.definition.shape.vocabSize;
const examples = toyExamples([9, 24, 5, 17, 30, 12, 8, 21, 3], V);

async function rejection(promise: Promise<unknown>): Promise<HeadwaterError> {
  const error = await promise.then(
    () => undefined,
    (cause: unknown) => cause,
  );
  expect(error).toBeInstanceOf(HeadwaterError);
  return error as HeadwaterError;
}

describe('training', () => {
  it('gives the same gradients for packed and unpacked examples', async () => {
    const apart = await engine.gradients(params, examples, { maxLength: 64 });
    // One SGD step with rate 1 on all examples moves the parameters by exactly the gradient.
    const sgd = { ...TRAIN.optimizer, kind: 'sgd' as const, learningRate: 1, weightDecay: 0 };
    const { maxGradNorm: _, ...unclipped } = TRAIN;
    const step: TrainOptions = {
      ...unclipped,
      optimizer: sgd,
      steps: 1,
      batchSize: examples.length,
      microBatchSize: 9,
    };
    const moved = async (packing: boolean) => {
      const result = await engine.train(params, examples, { ...step, packing });
      return {
        loss: result.steps[0]!.loss,
        grads: new Map(
          [...result.params].map(([name, value]) => {
            const before = params.get(name)!.data;
            return [name, { ...value, data: value.data.map((after, i) => before[i]! - after) }];
          }),
        ),
      };
    };
    for (const { loss, grads } of [await moved(false), await moved(true)]) {
      expect(loss).toBeCloseTo(apart.loss, 5);
      // The difference θ − (θ − g) loses digits of g, not more than 1e-4 of it here.
      expect(distance(grads, apart.grads)).toBeLessThan(1e-4);
    }
  });

  it('packs several examples into a row without letting them see each other', async () => {
    const [a, b] = toyExamples([10, 12], V, 5) as [(typeof examples)[0], (typeof examples)[0]];
    const result = await engine.train(params, [a, b], {
      ...TRAIN,
      batchSize: 2,
      microBatchSize: 1,
      steps: 1,
      packing: true,
    });
    const apart = await engine.gradients(params, [a, b], { maxLength: 64 });
    expect(result.steps[0]!.loss).toBeCloseTo(apart.loss, 5);
    // The check can fail: with one example after the other as a single text the loss is another.
    const glued = {
      ...a,
      tokens: Int32Array.of(...a.tokens, ...b.tokens),
      supervised: Uint8Array.of(...a.supervised, ...b.supervised),
    };
    const together = await engine.gradients(params, [glued], { maxLength: 64 });
    expect(Math.abs(together.loss - apart.loss)).toBeGreaterThan(1e-3);
  });

  it('accumulates passes to the same steps as one large pass', async () => {
    const whole = await engine.train(params, examples, { ...TRAIN, batchSize: 8, microBatchSize: 8 });
    for (const microBatchSize of [1, 3, 4]) {
      const parts = await engine.train(params, examples, { ...TRAIN, batchSize: 8, microBatchSize });
      expect(parts.numTargets).toBe(whole.numTargets);
      for (const [i, step] of parts.steps.entries()) expect(step.loss).toBeCloseTo(whole.steps[i]!.loss, 5);
      expect(distance(parts.params, whole.params)).toBeLessThan(1e-5);
    }
  });

  it('is bit-identical for the same seed and leaves the given parameters alone', async () => {
    const before = new Map([...params].map(([name, { data }]) => [name, data.slice()]));
    const dropout = await setup('huggingface/llama', bindLora({ dropout: 0.3 }));
    for (const subject of [engine, dropout.engine]) {
      const first = await subject.train(params, examples, TRAIN);
      const second = await subject.train(params, examples, TRAIN);
      expect(second).toEqual(first);
      const other = await subject.train(params, examples, { ...TRAIN, seedPath: ['seed', 2] });
      expect(distance(other.params, first.params)).toBeGreaterThan(1e-4);
    }
    for (const [name, data] of before) expect(params.get(name)!.data).toEqual(data);
  });

  it('drops inputs of the adapter in training only', async () => {
    const wet = await setup('huggingface/llama', bindLora({ dropout: 0.5 }));
    const options = { ...TRAIN, steps: 1, batchSize: 9, microBatchSize: 9 };
    const [dry, dropped] = [
      await engine.train(params, examples, options),
      await wet.engine.train(params, examples, options),
    ];
    expect(Math.abs(dropped.meanLoss - dry.meanLoss)).toBeGreaterThan(1e-4);
    const tokens = examples[0]!.tokens;
    expect(await wet.engine.logits(params, tokens)).toEqual(await engine.logits(params, tokens));
    expect((await wet.engine.gradients(params, examples, { maxLength: 64 })).loss).toBe(
      (await engine.gradients(params, examples, { maxLength: 64 })).loss,
    );
  });

  it('reports steps of the whole run with the schedule over rounds', async () => {
    const reports: StepReport[] = [];
    const schedule = { kind: 'linear', warmupSteps: 2, minFactor: 0 } as const;
    const options = { ...TRAIN, schedule, stepOffset: 6, totalSteps: 10 };
    const result = await engine.train(params, examples, options, (report) => reports.push(report));
    expect(reports).toEqual(result.steps);
    expect(reports.map(({ step }) => step)).toEqual([7, 8, 9, 10]);
    const rates = reports.map(({ learningRate }) => learningRate / 5e-3);
    for (const [i, rate] of [4 / 8, 3 / 8, 2 / 8, 1 / 8].entries()) expect(rates[i]).toBeCloseTo(rate, 12);
    expect(result.numExamples).toBe(16);
  });

  it('learns: the loss of a repeated batch falls from ln V to less than half', async () => {
    for (const kind of [
      engine,
      (await setup('huggingface/llama', (m) => full.bind(full.options.parse({}), m.definition))).engine,
    ]) {
      const start =
        kind === engine
          ? params
          : (await setup('huggingface/llama', (m) => full.bind(full.options.parse({}), m.definition))).params;
      const optimizer = { ...TRAIN.optimizer, learningRate: 2e-2 };
      const few = examples.slice(0, 4);
      const result = await kind.train(start, few, { ...TRAIN, optimizer, steps: 100, totalSteps: 100 });
      expect(result.steps[0]!.loss).toBeGreaterThan(0.8 * Math.log(V));
      expect(result.steps.at(-1)!.loss).toBeLessThan(0.5 * Math.log(V));
    }
  });

  it('names the step at which training diverged', async () => {
    const optimizer = { ...TRAIN.optimizer, kind: 'sgd' as const, learningRate: 1e30 };
    const { maxGradNorm: _, ...unclipped } = TRAIN;
    const error = await rejection(
      engine.train(params, examples, { ...unclipped, optimizer, stepOffset: 20 }),
    );
    expect(error.code).toBe('TRAINING_DIVERGED');
    expect(error.message).toContain('step 22');
    expect(error.hint).toContain('learningRate');
  });

  it('refuses to train on nothing', async () => {
    expect((await rejection(engine.train(params, [], TRAIN))).code).toBe('DATA_INVALID');
    const mute = examples.map((example) => ({
      ...example,
      supervised: example.supervised.map(() => 0),
      numTargets: 0,
    }));
    expect((await rejection(engine.train(params, mute, TRAIN))).message).toContain('supervised');
  });
});

describe('the model’s positions', () => {
  it('may all be used, and not one more', async () => {
    const [fits, tooLong] = toyExamples([128, 129], V) as [(typeof examples)[0], (typeof examples)[0]];
    const { loss } = await engine.gradients(params, [fits], { maxLength: 1000 });
    expect(loss).toBeGreaterThan(0);
    const error = await rejection(engine.gradients(params, [tooLong], { maxLength: 1000 }));
    expect(error.code).toBe('OPTION_INVALID');
    expect(error.message).toContain('129 tokens');
  });
});

describe('scores', () => {
  it('agree with logits, whatever the batch size', async () => {
    const [one, many] = [
      await engine.score(params, examples, { batchSize: 1, maxLength: 64 }),
      await engine.score(params, examples, { batchSize: 4, maxLength: 64 }),
    ];
    for (const [i, example] of examples.entries()) {
      const logits = await engine.logits(params, example.tokens);
      expect(logits.length).toBe(example.tokens.length * V);
      const expected = scoreByHand(logits, example);
      for (const score of [one[i]!, many[i]!]) {
        expect(score.nll).toBeCloseTo(expected.nll, 3);
        expect(score.numTargets).toBe(example.numTargets);
        expect(score.numCorrect).toBe(expected.numCorrect);
      }
    }
  });

  it('call an example exact when greedy decoding gives its completion, and only then', async () => {
    const { params: trained } = await engine.train(params, examples.slice(0, 4), {
      ...TRAIN,
      optimizer: { ...TRAIN.optimizer, learningRate: 2e-2 },
      ...{ steps: 160, totalSteps: 160, microBatchSize: 4 },
    });
    const scores = await engine.score(trained, examples, { batchSize: 4, maxLength: 64 });
    const exact = scores.map(({ numCorrect, numTargets }) => numCorrect === numTargets);
    expect(new Set(exact)).toEqual(new Set([true, false]));
    for (const [i, { tokens, supervised }] of examples.entries()) {
      const start = supervised.indexOf(1);
      const options = { ...GREEDY, maxNewTokens: tokens.length - start };
      const text = await engine.generate(trained, tokens.slice(0, start), options);
      expect(text.join() === tokens.slice(start).join(), `example ${i}`).toBe(exact[i]);
    }
  });

  const GREEDY = { stopTokenIds: [], temperature: 0, topP: 1, topK: 0, seedPath: [] };

  function scoreByHand(logits: Float32Array, { tokens, supervised }: (typeof examples)[0]) {
    let [nll, numCorrect] = [0, 0];
    for (let t = 1; t < tokens.length; t++) {
      if (supervised[t] !== 1) continue;
      const row = logits.subarray((t - 1) * V, t * V);
      const largest = Math.max(...row);
      nll +=
        largest + Math.log(row.reduce((sum, value) => sum + Math.exp(value - largest), 0)) - row[tokens[t]!]!;
      numCorrect += row.indexOf(largest) === tokens[t] ? 1 : 0;
    }
    return { nll, numCorrect };
  }
});
