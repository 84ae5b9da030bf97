/** Virtual positions in everything that an engine does: batches, packing, generation, limits; and files of our own. */

import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freshPrompt, OWN_PROMPTS } from '../../test/fixtures/huggingface/write-prompts.ts';
import { distance, FIXTURES, setup, TRAIN, toyExamples } from '../../test/training-setup.ts';
import { openCheckpoint } from '../models/checkpoint-node.ts';
import type { Model } from '../models/model.ts';
import { createNodeExecutor } from '../runtime/onnx-node.ts';
import { tuningKinds } from '../tuning/registry.ts';
import { readAdapterFolder, writeAdapterFolder } from './adapter-folder-node.ts';
import type { GenerateOptions } from './engine.ts';
import { createEngine } from './engine-core.ts';
import { batchesBehind, withVirtualTokens } from './virtual-tokens.ts';

const bind = (kind: string, options: object) => (model: Model) => {
  const record = tuningKinds.get(kind)!;
  return record.bind(record.options.parse(options), model.definition);
};

/** Windows shorter than the sequences, rotary positions, a table of positions. */
const CASES = [
  ['prompt-tuning', 'mistral', {}],
  ['prompt-tuning', 'gpt2', {}],
  ['p-tuning', 'qwen3', {}],
  ['prefix-tuning', 'mistral', {}],
  ['prefix-tuning', 'gpt2', {}],
  ['prefix-tuning', 'llama', { prefixProjection: true }],
] as const;

const greedy: GenerateOptions = {
  ...{ maxNewTokens: 20, stopTokenIds: [], temperature: 0, topP: 1, topK: 0, seedPath: ['text'] },
};

describe.each(CASES)('%s on %s %j', (kind, base, options) => {
  const opened = setup(`huggingface/${base}`, bind(kind, { numVirtualTokens: 5, ...options }));

  it('generates over a cache what recomputation gives, alone and side by side', async () => {
    const { engine, params } = await opened;
    const prompts = [[3, 1, 4, 1, 5], [9], Array.from({ length: 30 }, (_, i) => i)];
    const alone: Int32Array[] = [];
    for (const prompt of prompts) {
      const ids = Int32Array.from(prompt);
      const text = await engine.generate(params, ids, greedy);
      expect(await engine.generate(params, ids, { ...greedy, useCache: false })).toEqual(text);
      alone.push(text);
    }
    const requests = prompts.map((prompt) => ({ prompt: Int32Array.from(prompt), options: greedy }));
    const together = await engine.generateBatch(params, requests);
    expect(together.map(({ tokens }) => tokens)).toEqual(alone);
  });

  it('has the same loss and gradients packed as apart, and the virtual positions matter', async () => {
    const { engine, params, model, tuning } = await opened;
    const { vocabSize } = model.definition.shape;
    const examples = toyExamples([9, 24, 5, 17, 12], vocabSize);
    const apart = await engine.gradients(params, examples, { maxLength: 64 });
    const { maxGradNorm: _, ...unclipped } = TRAIN;
    const sgd = { ...TRAIN.optimizer, kind: 'sgd' as const, learningRate: 1, weightDecay: 0 };
    const step = { ...unclipped, optimizer: sgd, steps: 1, batchSize: 5, microBatchSize: 5, packing: true };
    const result = await engine.train(params, examples, step);
    expect(result.meanLoss).toBeCloseTo(apart.loss, 5);
    const moved = new Map(
      [...result.params].map(([name, value]) => {
        const before = params.get(name)!.data;
        return [name, { ...value, data: value.data.map((after, i) => before[i]! - after) }];
      }),
    );
    // θ − (θ − g) loses digits of g.
    expect(distance(moved, apart.grads)).toBeLessThan(1e-3);
    expect(result.numTokens).toBe(67);
    const other = await setup(`huggingface/${base}`, () => tuning);
    const zeros = new Map([...params].map(([name, v]) => [name, { ...v, data: v.data.map(() => 0) }]));
    const without = await other.engine.gradients(zeros, examples, { maxLength: 64 });
    expect(Math.abs(without.loss - apart.loss)).toBeGreaterThan(1e-3);
  });

  it('counts real tokens only: scores, logits, limits', async () => {
    const { engine, params, model } = await opened;
    const { vocabSize, maxPositionEmbeddings } = model.definition.shape;
    const [example] = toyExamples([11], vocabSize);
    const [score] = await engine.score(params, [example!], { batchSize: 2, maxLength: 11 });
    expect(score!.numTargets).toBe(example!.numTargets);
    const logits = await engine.logits(params, example!.tokens);
    expect(logits.length).toBe(11 * vocabSize);
    const nll = [...example!.tokens.keys()].reduce((sum, t) => {
      if (example!.supervised[t] !== 1) return sum;
      const row = logits.subarray((t - 1) * vocabSize, t * vocabSize);
      const total = Math.log(row.reduce((all, x) => all + Math.exp(x), 0));
      return sum + total - row[example!.tokens[t]!]!;
    }, 0);
    expect(score!.nll).toBeCloseTo(nll, 3);
    const long = toyExamples([maxPositionEmbeddings - 4], vocabSize);
    await expect(
      engine.score(params, long, { batchSize: 1, maxLength: maxPositionEmbeddings }),
    ).rejects.toMatchObject({
      code: 'OPTION_INVALID',
      message: expect.stringContaining('5 of them virtual'),
    });
    const fits = { ...greedy, maxNewTokens: maxPositionEmbeddings - 6 };
    await expect(engine.generate(params, Int32Array.of(1, 2), fits)).rejects.toMatchObject({
      code: 'OPTION_INVALID',
    });
  });
});

describe('batches behind virtual tokens', () => {
  it('have them in front of every example and no target more', () => {
    const virtual = { count: 2, as: 'tokens' } as const;
    const examples = toyExamples([4, 3], 50);
    const [batch] = batchesBehind(virtual, examples, { batchSize: 1, maxLength: 16, packing: true });
    expect([...batch!.tokens.subarray(0, 11)]).toEqual(
      examples.flatMap(({ tokens }) => [...withVirtualTokens(tokens, virtual)]),
    );
    expect([...batch!.positions.subarray(0, 11)]).toEqual([0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4]);
    expect(batch!.numTokens).toBe(7);
    expect(batch!.numTargets).toBe(examples.reduce((sum, { numTargets }) => sum + numTargets, 0));
  });
});

describe('a prompt written here', () => {
  let scratch: string;
  beforeAll(async () => {
    scratch = await mkdtemp(join(tmpdir(), 'headwater-prompts-'));
  });
  afterAll(() => rm(scratch, { recursive: true, force: true }));

  it.each(Object.entries(OWN_PROMPTS))('%s has the bytes that PEFT read', async (name, prompt) => {
    const { tuning, params } = await freshPrompt(prompt);
    const folder = join(scratch, name);
    await writeAdapterFolder(folder, tuning, params, prompt.base);
    for (const file of ['adapter_config.json', 'adapter_model.safetensors']) {
      const read = join(FIXTURES, 'huggingface', name, 'adapter', file);
      expect(await readFile(join(folder, file))).toEqual(await readFile(read));
    }
  });

  it('is refused by another base', async () => {
    const other = await openCheckpoint(join(FIXTURES, 'huggingface/smollm3'));
    for (const [name, { base }] of Object.entries(OWN_PROMPTS)) {
      const adapter = join(FIXTURES, 'huggingface', name, 'adapter');
      await expect(readAdapterFolder(adapter, other.definition)).rejects.toMatchObject({
        code: 'ADAPTER_INVALID',
        hint: expect.stringContaining(base.endsWith('-cls') ? '' : base),
      });
    }
  });

  it('by PEFT is continued here and learns', async () => {
    const model = await openCheckpoint(join(FIXTURES, 'huggingface/llama'));
    const examples = toyExamples([12, 9], model.definition.shape.vocabSize);
    const long = { ...TRAIN, optimizer: { ...TRAIN.optimizer, learningRate: 0.05 }, steps: 12 };
    for (const kind of ['prompt-tuning', 'prefix-tuning', 'p-tuning']) {
      const from = join(FIXTURES, 'huggingface', `llama-${kind}`, 'adapter');
      const { tuning, params } = await readAdapterFolder(from, model.definition);
      const engine = createEngine({ model, tuning, executor: createNodeExecutor() });
      const { steps, params: trained } = await engine.train(params, examples, long);
      expect(steps.at(-1)!.loss).toBeLessThan(steps[0]!.loss - 0.1);
      const folder = join(scratch, `continued-${kind}`);
      await writeAdapterFolder(folder, tuning, trained, 'llama');
      expect((await readAdapterFolder(folder, model.definition)).params).toEqual(trained);
    }
  });
});
