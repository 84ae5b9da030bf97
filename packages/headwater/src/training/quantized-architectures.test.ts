import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { referenceModels } from '../../test/support/reference-models.ts';
import { distance, toyExamples } from '../../test/training-setup.ts';
import { rng } from '../base/random.ts';
import { openCheckpoint, readWeight } from '../models/checkpoint-node.ts';
import type { Model } from '../models/model.ts';
import { openQuantized } from '../models/quantized-node.ts';
import { ARCHITECTURES } from '../models/registry.ts';
import { createNodeExecutor } from '../runtime/onnx-node.ts';
import { lora } from '../tuning/lora.ts';
import { createEngine } from './engine-core.ts';
import { writeQuantized } from './quantized-model-node.ts';

const work = mkdtempSync(join(tmpdir(), 'headwater-quantized-'));
afterAll(() => rmSync(work, { recursive: true, force: true }));

const models = referenceModels();

async function lossAndGradients(model: Model) {
  const { definition } = model;
  const tuning = lora.bind(lora.options.parse({ rank: 2 }), definition);
  const params = await tuning.init(rng('quantized'), (name) => readWeight(model.weights, name));
  const isClassifier = definition.objective === 'sequence-classification';
  const examples = toyExamples([9, 14, 12], definition.shape.vocabSize).map((example, i) =>
    isClassifier
      ? { ...example, supervised: new Uint8Array(example.tokens.length), numTargets: 1, classId: i % 3 }
      : example,
  );
  const executor = createNodeExecutor({});
  const engine = createEngine({ model, tuning, executor });
  const result = await engine.gradients(params, examples, { maxLength: 32 });
  await executor.dispose();
  return result;
}

describe.each([...ARCHITECTURES.keys()])('%s with rounded base weights', (id) => {
  it('learns nearly the same: 8 bits nearer than 4', async () => {
    const model = await openCheckpoint(models.get(id)![0]!);
    const exact = await lossAndGradients(model);
    const distances: number[] = [];
    for (const bits of [8, 4] as const) {
      const folder = join(work, `${id}-${bits}`);
      await writeQuantized(model, { bits, blockSize: 32 }, folder);
      const rounded = await openQuantized(model, folder);
      expect(rounded.quantized!.modules.size).toBeGreaterThan(0);
      const { loss, grads } = await lossAndGradients(rounded);
      expect(Math.abs(loss / exact.loss - 1)).toBeLessThan(bits === 8 ? 0.01 : 0.1);
      distances.push(distance(grads, exact.grads));
    }
    expect(distances[0]!).toBeGreaterThan(0);
    expect(distances[0]!).toBeLessThan(0.1);
    expect(distances[1]!).toBeGreaterThan(distances[0]!);
  });
});
