/** In float64, for every architecture: a network of small integers computes what one of the numbers that they mean computes. */

import { expect, it } from 'vitest';
import {
  float64,
  interpretingExecutor,
  randomModel,
  type SmallModel,
} from '../../test/support/random-models.ts';
import { smallBatches } from '../../test/support/small-batches.ts';
import { rng } from '../base/random.ts';
import { type Tensor, tensor } from '../base/tensor.ts';
import { Graph } from '../graph/ir.ts';
import { type BlockFormat, dequantize } from '../graph/ops/index.ts';
import { interpret } from '../graph/reference.ts';
import type { LinearModule } from '../models/model.ts';
import { quantizeMatrix } from '../models/quantize-blocks.ts';
import {
  type QuantizedPart,
  quantizedModules,
  quantizedName,
  quantizedTypes,
} from '../models/quantized-format.ts';
import { ARCHITECTURES } from '../models/registry.ts';
import { tuningKinds } from '../tuning/registry.ts';
import { accumulatedGradients, targetBatches } from './accumulate.ts';
import { createRunner, type RunnerParts } from './runner.ts';

type Parts = Readonly<Record<QuantizedPart, Tensor>>;

function partsOf(model: SmallModel, module: LinearModule, format: BlockFormat): Parts {
  const values = model.tensors.get(`${module.module}.weight`)!.data;
  const shape = [module.outFeatures, module.inFeatures] as const;
  const { packed, scales, zeroPoints } = quantizeMatrix(values, shape, format, module.stored === 'in-out');
  const types = quantizedTypes(module, format);
  return {
    packed: tensor('uint8', types.packed.shape, packed),
    scales: tensor('float32', types.scales.shape, scales),
    zeroPoints: tensor('uint8', types.zeroPoints.shape, zeroPoints),
  };
}

/** The numbers that the blocks mean, in the layout of the checkpoint. */
function meant(module: LinearModule, parts: Parts, format: BlockFormat): Tensor<'float32'> {
  const graph = new Graph();
  const { packed, scales, zeroPoints } = parts;
  const constants = {
    packed: graph.constant(packed),
    scales: graph.constant(scales),
    zeroPoints: graph.constant(zeroPoints),
  };
  graph.output('w', dequantize({ ...format, ...constants }));
  const { data } = interpret(graph, new Map()).get('w')!;
  const [E, D] = [module.outFeatures, module.inFeatures];
  if (module.stored !== 'in-out') return float64([E, D], data);
  return float64(
    [D, E],
    Float64Array.from(data, (_, i) => data[(i % E) * D + Math.floor(i / E)]!),
  );
}

function rounded(model: SmallModel, format: BlockFormat) {
  const modules = quantizedModules(model.definition, format);
  const small = new Map<string, Tensor>();
  const wide = new Map<string, Tensor>(model.tensors);
  for (const module of modules) {
    const parts = partsOf(model, module, format);
    for (const [part, value] of Object.entries(parts))
      small.set(quantizedName(module.module, part as QuantizedPart), value);
    wide.set(`${module.module}.weight`, meant(module, parts, format));
  }
  const from = (tensors: ReadonlyMap<string, Tensor>): RunnerParts['model'] => ({
    ...model,
    weights: { locate: (name) => ({ kind: 'memory', tensor: tensors.get(name)! }) },
  });
  const byName = new Map(modules.map((module) => [module.module, module]));
  const quantized = { ...format, folder: '', modules: byName };
  return {
    modules,
    blocks: { ...from(new Map([...model.tensors, ...small])), quantized },
    numbers: from(wide),
  };
}

/** The first random model whose modules are all whole blocks of two. */
function evenModel(id: string): SmallModel {
  for (let seed = 1; ; seed++) {
    const model = randomModel(id, seed);
    if (model.definition.linears.every(({ inFeatures }) => inFeatures % 2 === 0)) return model;
  }
}

const CASES = [...ARCHITECTURES.keys()].flatMap((id) => [8, 4].map((bits) => [id, bits as 4 | 8] as const));

it.each(CASES)('%s, %i bits: loss and LoRA gradients are those of the rounded weights', async (id, bits) => {
  const model = evenModel(id);
  const { modules, blocks, numbers } = rounded(model, { bits, blockSize: 2 });
  expect(modules.length).toBeGreaterThan(3);
  const lora = tuningKinds.get('lora')!;
  const tuning = lora.bind(lora.options.parse({ rank: 2, alpha: 3 }), model.definition);
  const random = rng('quantized-numbers', id);
  const params = new Map(
    tuning.tensors.map(({ name, shape }) => {
      const size = shape.reduce((a, b) => a * b, 1);
      return [
        name,
        float64(
          shape,
          Float64Array.from({ length: size }, () => 0.3 * random.normal()),
        ),
      ];
    }),
  );
  const batches = smallBatches(model, id);
  const run = (parts: RunnerParts['model']) =>
    accumulatedGradients(
      createRunner({ model: parts, tuning, executor: interpretingExecutor() }),
      params,
      targetBatches(batches),
    );
  const [actual, expected, original] = [await run(blocks), await run(numbers), await run(model)];
  expect(actual.loss).toBeCloseTo(expected.loss, 12);
  expect(Math.abs(original.loss - expected.loss)).toBeGreaterThan(1e-6);
  for (const [name, { data }] of expected.grads)
    for (const [i, value] of data.entries()) expect(actual.grads.get(name)!.data[i]).toBeCloseTo(value, 10);
});
