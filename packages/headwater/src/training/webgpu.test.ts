import { describe, expect, test } from 'vitest';
import { relativeError } from '../../test/support/op-cases.ts';
import { webgpuWorks } from '../../test/support/webgpu.ts';
import { setup, TRAIN, toyExamples } from '../../test/training-setup.ts';
import type { Params } from '../base/tensor.ts';
import { createNodeExecutor } from '../runtime/onnx-node.ts';
import { full } from '../tuning/full.ts';
import { lora } from '../tuning/lora.ts';
import { createEngine } from './engine-core.ts';

const works = await webgpuWorks();

/** Largest relative error of a tensor, over all tensors. */
function worst(actual: Params, expected: Params): number {
  return Math.max(...[...expected].map(([name, { data }]) => relativeError(actual.get(name)!.data, data)));
}

// Equal losses prove nothing: a fused kernel once gave the loss to seven digits and gradients of zero.
describe.skipIf(!works)('training on the WebGPU provider', () => {
  test.each([
    [
      'llama',
      'lora',
      (model: { definition: Parameters<typeof lora.bind>[1] }) =>
        lora.bind(lora.options.parse({ rank: 4 }), model.definition),
    ],
    [
      'qwen3',
      'lora',
      (model: { definition: Parameters<typeof lora.bind>[1] }) =>
        lora.bind(lora.options.parse({ rank: 4 }), model.definition),
    ],
    [
      'mistral',
      'full',
      (model: { definition: Parameters<typeof full.bind>[1] }) =>
        full.bind(full.options.parse({}), model.definition),
    ],
  ])('%s under %s: loss and every gradient equal the CPU', async (folder, _kind, bind) => {
    const { model, tuning, params, engine } = await setup(`huggingface/${folder}`, bind);
    const gpu = createEngine({ model, tuning, executor: createNodeExecutor({ device: 'webgpu' }) });
    const examples = toyExamples([9, 24, 17], model.definition.shape.vocabSize);
    const expected = await engine.gradients(params, examples, { maxLength: 64 });
    const actual = await gpu.gradients(params, examples, { maxLength: 64 });
    expect(Math.abs(actual.loss - expected.loss)).toBeLessThan(1e-4);
    expect(expected.grads.size).toBeGreaterThan(10);
    expect(worst(actual.grads, expected.grads)).toBeLessThan(1e-4);
    const [steps, reference] = [
      await gpu.train(params, examples, TRAIN),
      await engine.train(params, examples, TRAIN),
    ];
    expect(worst(steps.params, reference.params)).toBeLessThan(1e-3);
  });
});
