import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { relativeError } from '../../test/support/op-cases.ts';
import { writeTinyEncoder } from '../../test/support/tiny-encoder.ts';
import { rng } from '../base/random.ts';
import type { Params } from '../base/tensor.ts';
import { makeBatches } from '../data/batches.ts';
import type { TokenizedExample } from '../data/types.ts';
import { openCheckpoint, readWeight } from '../models/checkpoint-node.ts';
import type { Model } from '../models/model.ts';
import { createNodeExecutor } from '../runtime/onnx-node.ts';
import { frozen } from '../tuning/frozen.ts';
import { lora } from '../tuning/lora.ts';
import { accumulatedGradients, targetBatches } from './accumulate.ts';
import { createEngine } from './engine-core.ts';
import { createRunner } from './runner.ts';

const executor = createNodeExecutor();
const NONE: Params = new Map();
let root: string;
let model: Model;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'headwater-encoder-engine-'));
  await writeTinyEncoder(join(root, 'roberta'), 'tiny-roberta');
  model = await openCheckpoint(join(root, 'roberta'), { labels: ['a', 'b', 'c'] });
});
afterAll(async () => {
  await executor.dispose();
  await rm(root, { recursive: true, force: true });
});

const random = rng('encoder.test');
const examples: TokenizedExample[] = [9, 4, 17, 6, 12].map((length, i) => ({
  tokens: Int32Array.from({ length }, () => 5 + random.below(380)),
  supervised: new Uint8Array(length),
  numTargets: 1,
  classId: i % 3,
}));

describe('an encoder', () => {
  it('scores the class that its logits say', async () => {
    const engine = createEngine({ model, tuning: frozen, executor });
    const scores = await engine.score(NONE, examples, { batchSize: 4, maxLength: 32 });
    for (const [i, { tokens, classId }] of examples.entries()) {
      const logits = await engine.classify(NONE, tokens);
      expect(logits).toHaveLength(3);
      const total = Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit), 0));
      const predicted = logits.indexOf(Math.max(...logits));
      expect(scores[i]!.nll).toBeCloseTo(total - logits[classId!]!, 5);
      expect(scores[i]!.classified).toEqual({ target: classId, predicted });
    }
  });

  it('learns the same from texts that share a row as from texts alone', async () => {
    const options = lora.options.parse({ rank: 2, targetModules: 'all-linear' });
    const tuning = lora.bind(options, model.definition);
    const params = await tuning.init(rng('lora'), (name) => readWeight(model.weights, name));
    const runner = createRunner({ model, tuning, executor });
    const gradients = (packing: boolean) =>
      accumulatedGradients(
        runner,
        params,
        targetBatches(makeBatches(examples, { batchSize: 2, maxLength: 32, packing })),
      );
    const [alone, packed] = [await gradients(false), await gradients(true)];
    expect(packed.loss).toBeCloseTo(alone.loss, 5);
    expect(packed.numTargets).toBe(examples.length);
    for (const [name, { data }] of alone.grads)
      expect(relativeError(packed.grads.get(name)!.data, data)).toBeLessThan(1e-4);
    expect(alone.grads.get('base_model.model.classifier.out_proj.weight')!.data.some((x) => x !== 0)).toBe(
      true,
    );
  });

  it('sees what comes after a token, and nothing of padding', async () => {
    const engine = createEngine({ model, tuning: frozen, executor });
    const { tokens } = examples[0]!;
    const changed = tokens.with(tokens.length - 1, 7);
    const [a, b] = [await engine.classify(NONE, tokens), await engine.classify(NONE, changed)];
    expect(relativeError(a, b)).toBeGreaterThan(1e-3);
    const runner = createRunner({ model, tuning: frozen, executor });
    const padded = makeBatches([examples[2]!, examples[0]!], { batchSize: 2, maxLength: 64 })[0]!;
    const logits = await runner.logits(NONE, padded);
    const row = logits.slice(padded.length * 3, padded.length * 3 + 3);
    expect(relativeError(row, a)).toBeLessThan(1e-5);
  });

  it('writes no text', async () => {
    const engine = createEngine({ model, tuning: frozen, executor });
    const options = { maxNewTokens: 1, stopTokenIds: [], temperature: 0, topP: 1, topK: 0, seedPath: [0] };
    await expect(engine.generate(NONE, Int32Array.of(1), options)).rejects.toThrow(/does not continue text/);
  });
});
