import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { setup } from '../../../test/training-setup.ts';
import { rng } from '../../base/random.ts';
import { createNodeExecutor } from '../../runtime/onnx-node.ts';
import { frozen } from '../../tuning/frozen.ts';
import { lora } from '../../tuning/lora.ts';
import type { GenerateOptions } from '../engine.ts';
import { createEngine } from '../engine-core.ts';
import { createRunner } from '../runner.ts';
import { createDecoder } from './decoder.ts';
import { commonPrefix, pieceLength } from './pieces.ts';

const greedy: GenerateOptions = {
  ...{ maxNewTokens: 30, stopTokenIds: [], temperature: 0, topP: 1, topK: 0, seedPath: ['text'] },
};

function randomPrompts(count: number, vocabSize: number): Int32Array[] {
  return Array.from({ length: count }, (_, i) => {
    const stream = rng('prompts', i);
    return Int32Array.from({ length: 1 + stream.below(40) }, () => stream.below(vocabSize));
  });
}

describe('a batch', () => {
  it.each(['llama', 'mistral', 'qwen3'])(
    'of prompts of different lengths that end at different times gives each its own tokens: %s',
    async (name) => {
      const { engine, params, model } = await setup(`huggingface/${name}`, (m) =>
        lora.bind(lora.options.parse({}), m.definition),
      );
      const prompts = randomPrompts(7, model.definition.shape.vocabSize);
      const requests = prompts.map((prompt, i) => ({
        prompt,
        options: { ...greedy, maxNewTokens: 5 + 9 * i, seedPath: ['row', i], temperature: i % 2 },
      }));
      const alone: Int32Array[] = [];
      for (const { prompt, options } of requests) alone.push(await engine.generate(params, prompt, options));
      // More requests than rows: ends make room for those that wait.
      const together = await engine.generateBatch(params, requests, { batchSize: 3 });
      expect(together.map(({ tokens }) => tokens)).toEqual(alone);
      expect(new Set(together.map(({ reason }) => reason))).toEqual(new Set(['length']));
    },
  );

  it('computes the same with the portable kernels, which copy the cache', async () => {
    const { model, engine, params, tuning } = await setup('huggingface/mistral', () => frozen);
    const portable = createEngine({ model, tuning, executor: createNodeExecutor({ kernels: 'portable' }) });
    const requests = randomPrompts(3, model.definition.shape.vocabSize).map((prompt) => ({
      prompt,
      options: greedy,
    }));
    const expected = await engine.generateBatch(params, requests);
    expect(await portable.generateBatch(params, requests)).toEqual(expected);
  });

  it('says how each text ended, and ends one when told to', async () => {
    const { engine, params } = await setup('huggingface/llama', () => frozen);
    const prompt = Int32Array.of(7, 8, 9);
    const whole = await engine.generate(params, prompt, greedy);
    const stop = whole[10]!;
    const told: number[] = [];
    const results = await engine.generateBatch(params, [
      { prompt, options: { ...greedy, stopTokenIds: [stop] } },
      { prompt, options: greedy, onToken: (id) => (told.push(id) === 4 ? 'stop' : undefined) },
      { prompt, options: { ...greedy, maxNewTokens: 0 } },
    ]);
    expect(results.map(({ reason }) => reason)).toEqual(['stop', 'stop', 'length']);
    expect(results.map(({ tokens }) => tokens.length)).toEqual([whole.indexOf(stop), 4, 0]);
    expect(told).toEqual([...whole.subarray(0, 4)]);
  });
});

describe('a generator', () => {
  it('computes what a prompt shares with earlier ones once and answers as if it had not', async () => {
    const { engine, params } = await setup('huggingface/llama', () => frozen);
    const generator = engine.openGenerator(params, { batchSize: 2, maxTokens: 128 });
    const ask = async (prompt: Int32Array) => {
      const pending = generator.submit({ prompt, options: greedy });
      while (!generator.isIdle()) await generator.step();
      return pending.done;
    };
    const first = Int32Array.from({ length: 20 }, (_, i) => i + 3);
    const answer = await ask(first);
    expect(answer.numReused).toBe(0);
    const next = Int32Array.of(...first, ...answer.tokens, 50, 51, 52);
    const second = await ask(next);
    // The last token of the answer was never fed.
    expect(second.numReused).toBe(first.length + answer.tokens.length - 1);
    expect(second.tokens).toEqual(await engine.generate(params, next, greedy));
    expect((await ask(next)).numReused).toBe(next.length - 1);
  });

  it('answers as before when its cache has grown for a long prompt and shrunk again', async () => {
    const { engine, params, model } = await setup('models/stories260K', () => frozen);
    const generator = engine.openGenerator(params, { batchSize: 3, maxTokens: 512 });
    const [short, other] = randomPrompts(2, model.definition.shape.vocabSize) as [Int32Array, Int32Array];
    // Two pieces, the first of them the longest there is.
    const long = Int32Array.from({ length: 300 }, (_, i) => (i * 31) % 500);
    const rounds = [[short], [long, other], [short], [other, short, long]];
    for (const prompts of rounds) {
      const options = { ...greedy, maxNewTokens: 12 };
      const pending = prompts.map((prompt) => generator.submit({ prompt, options }).done);
      while (!generator.isIdle()) await generator.step();
      for (const [i, { tokens }] of (await Promise.all(pending)).entries())
        expect(tokens).toEqual(await engine.generate(params, prompts[i]!, { ...options, useCache: false }));
    }
  });

  it('takes over the beginning of a sequence that is still running', async () => {
    const { engine, params } = await setup('huggingface/llama', () => frozen);
    const generator = engine.openGenerator(params, { batchSize: 2, maxTokens: 128 });
    const shared = Array.from({ length: 30 }, (_, i) => (i * 7) % 100);
    const prompts = [Int32Array.of(...shared, 1), Int32Array.of(...shared, 2)];
    const pending = prompts.map((prompt) => generator.submit({ prompt, options: greedy }).done);
    while (!generator.isIdle()) await generator.step();
    const results = await Promise.all(pending);
    expect(results.map(({ numReused }) => numReused)).toEqual([0, 30]);
    for (const [i, { tokens }] of results.entries())
      expect(tokens).toEqual(await engine.generate(params, prompts[i]!, greedy));
  });

  it('ends a cancelled request where it is, waiting or running, and goes on with the others', async () => {
    const { engine, params } = await setup('huggingface/llama', () => frozen);
    const generator = engine.openGenerator(params, { batchSize: 1, maxTokens: 64 });
    const submit = () => generator.submit({ prompt: Int32Array.of(5, 6), options: greedy });
    const [running, waiting, last] = [submit(), submit(), submit()];
    for (let i = 0; i < 5; i++) await generator.step();
    running.cancel();
    waiting.cancel();
    while (!generator.isIdle()) await generator.step();
    const [a, b, c] = [await running.done, await waiting.done, await last.done];
    expect([a.reason, b.reason, c.reason]).toEqual(['cancelled', 'cancelled', 'length']);
    expect([a.tokens.length, b.tokens.length]).toEqual([5, 0]);
    expect(a.tokens).toEqual(c.tokens.subarray(0, 5));
  });

  it('tells log-probabilities of the model, before temperature and penalties', async () => {
    const { engine, params } = await setup('huggingface/llama', () => frozen);
    const prompt = Int32Array.of(7, 8, 9);
    const options = { ...greedy, maxNewTokens: 6, temperature: 2, topLogprobs: 3, presencePenalty: 1 };
    const seen: { id: number; logprob?: number; top?: readonly { id: number; logprob: number }[] }[] = [];
    const tokens = await engine.generate(params, prompt, options, (id, details) =>
      seen.push({ id, ...details }),
    );
    const logits = await engine.logits(params, Int32Array.of(...prompt, ...tokens));
    const V = logits.length / (prompt.length + tokens.length);
    for (const [i, { id, logprob, top }] of seen.entries()) {
      const row = logits.subarray((prompt.length - 1 + i) * V, (prompt.length + i) * V);
      const total = Math.log(row.reduce((sum, x) => sum + Math.exp(x), 0));
      expect(logprob).toBeCloseTo(row[id]! - total, 4);
      const best = [...row.keys()].sort((a, b) => row[b]! - row[a]!).slice(0, 3);
      expect(top!.map((item) => item.id)).toEqual(best);
      expect(top![0]!.logprob).toBeCloseTo(row[best[0]!]! - total, 4);
    }
  });

  it('refuses to repeat what a strong penalty forbids', async () => {
    const { engine, params } = await setup('huggingface/llama', () => frozen);
    const prompt = Int32Array.of(7, 8, 9);
    for (const penalty of [{ presencePenalty: 1e4 }, { frequencyPenalty: 1e4 }]) {
      const tokens = await engine.generate(params, prompt, { ...greedy, maxNewTokens: 40, ...penalty });
      expect(new Set(tokens).size).toBe(40);
    }
  });
});

describe('a decoder', () => {
  it('gives the logits of recomputation, whatever pieces the prompt came in and whoever else was there', async () => {
    const { model, params, engine } = await setup('huggingface/qwen2', () => frozen);
    const { shape } = model.definition;
    const runner = createRunner({ model, tuning: frozen, executor: createNodeExecutor() });
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.nat(shape.vocabSize - 1), { minLength: 2, maxLength: 60 }),
        fc.integer({ min: 1, max: 59 }),
        fc.integer({ min: 1, max: 4 }),
        async (ids, cut, numSlots) => {
          const decoder = createDecoder(runner, params, shape, { numSlots, maxTokens: 60 });
          const others = [];
          for (let i = 1; i < numSlots; i++) others.push(await decoder.open(Int32Array.of(i, i, 7)));
          const start = Math.min(cut, ids.length - 1);
          const opened = await decoder.open(Int32Array.from(ids.slice(0, start)));
          let { logits } = opened!;
          for (const id of ids.slice(start)) {
            const all = [opened!.sequence, ...others.map((other) => other!.sequence)].slice(
              0,
              1 + others.length,
            );
            const fits = all.filter(({ tokens }) => tokens.length < 60);
            logits = (await decoder.step(fits, [id, ...fits.slice(1).map(() => 3)]))[0]!;
          }
          const expected = (await engine.logits(params, Int32Array.from(ids))).subarray(-shape.vocabSize);
          const error = Math.max(...logits.map((x, i) => Math.abs(x - expected[i]!)));
          expect(error).toBeLessThan(2e-5);
        },
      ),
      { seed: 11, numRuns: 12 },
    );
  });
});

describe('pieces', () => {
  it('cover a prompt and have few lengths', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 3000 }), (count) => {
        let left = count;
        while (left > 0) {
          const length = pieceLength(left);
          expect([1, 16, 32, 64, 128, 256]).toContain(length);
          left -= length;
        }
      }),
      { seed: 5, numRuns: 300 },
    );
    expect(commonPrefix([1, 2, 3], [1, 2, 4, 5])).toBe(2);
  });
});
