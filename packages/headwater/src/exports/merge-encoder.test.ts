import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { relativeError } from '../../test/support/op-cases.ts';
import { writeTinyEncoder } from '../../test/support/tiny-encoder.ts';
import { rng } from '../base/random.ts';
import { type Params, tensor } from '../base/tensor.ts';
import { openCheckpoint, readWeight } from '../models/checkpoint-node.ts';
import { createNodeExecutor } from '../runtime/onnx-node.ts';
import { createEngine } from '../training/engine-core.ts';
import { frozen } from '../tuning/frozen.ts';
import { lora } from '../tuning/lora.ts';
import { mergeModel } from './merge-model.ts';

const executor = createNodeExecutor();
let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'headwater-merge-encoder-'));
});
afterAll(async () => {
  await executor.dispose();
  await rm(root, { recursive: true, force: true });
});

describe('merging into an encoder without head', () => {
  it('gives a classifier that needs neither adapter nor labels', async () => {
    const labels = ['a', 'b', 'c'];
    await writeTinyEncoder(join(root, 'base'), 'tiny-bert', (name) => name.replace(/^bert\./, ''));
    const model = await openCheckpoint(join(root, 'base'), { labels });
    const tuning = lora.bind(lora.options.parse({ targetModules: 'all-linear' }), model.definition);
    const start = await tuning.init(rng('lora'), (name) => readWeight(model.weights, name));
    const random = rng('trained');
    const params: Params = new Map(
      [...start].map(([name, { shape, data }]) => [
        name,
        tensor(
          'float32',
          shape,
          data.map((x) => x + 0.1 * random.normal()),
        ),
      ]),
    );
    const out = join(root, 'merged');
    await mergeModel(model, [{ source: 'adapter', tuning, params, weight: 1 }], out);
    const merged = await openCheckpoint(out);
    expect(merged.definition.classifier).toMatchObject({ labels, freshModules: [] });
    const config = JSON.parse(await readFile(join(out, 'config.json'), 'utf8'));
    expect(config).toMatchObject({
      architectures: ['BertForSequenceClassification'],
      id2label: { 0: 'a', 1: 'b', 2: 'c' },
      label2id: { a: 0, b: 1, c: 2 },
    });
    const tokens = Int32Array.of(2, 40, 90, 3);
    const adapted = await createEngine({ model, tuning, executor }).classify(params, tokens);
    const alone = await createEngine({ model: merged, tuning: frozen, executor }).classify(new Map(), tokens);
    expect(relativeError(alone, adapted)).toBeLessThan(1e-5);
  });
});
