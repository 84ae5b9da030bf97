/**
 * Full fine-tuning: every checkpoint tensor is trained, starting from the checkpoint. Tensors keep the checkpoint's
 * names; a tied matrix is one tensor and its gradient is the sum of both uses.
 */

import { z } from 'zod';
import type { Rng } from '../base/random.ts';
import { sizeOf, type Tensor, tensor } from '../base/tensor.ts';
import type { Graph, Value } from '../graph/ir.ts';
import { parameterSites } from '../graph/sites.ts';
import type { BoundTuning, ModelLayout, TuningKind, Wrapped } from './kind.ts';

const options = z.strictObject({
  start: z
    .enum(['checkpoint', 'random'])
    .default('checkpoint')
    .describe(
      'random: pre-training from nothing. Matrices are N(0, 0.02²), as transformers starts them, scales 1, biases 0; of the checkpoint only shapes and tokenizer are used.',
    ),
});

/** Standard deviation of fresh matrices: `initializer_range` of nearly all configurations. */
const INITIALIZER_RANGE = 0.02;

export const full: TuningKind<z.infer<typeof options>> = {
  id: 'full',
  summary: 'all weights of the model (for pre-training and small models)',
  options,
  bind: bindFull,
  fromAdapterConfig: () => undefined,
};

function bindFull(bound: z.infer<typeof options>, layout: ModelLayout): BoundTuning {
  const tensors = [...layout.parameters]
    .map(([name, shape]) => ({ name, shape }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
  return {
    kind: 'full',
    options: bound,
    tensors,
    init: async (random, baseValue) => {
      const params = new Map<string, Tensor<'float32'>>();
      for (const { name, shape } of tensors) {
        const value =
          bound.start === 'random' ? untrained(name, shape, layout, random) : await baseValue(name);
        params.set(name, tensor('float32', shape, value));
      }
      return params;
    },
    wrap: (graph, _base) => wrap(graph, layout),
    adapterConfig: () => undefined,
  };
}

function untrained(
  name: string,
  shape: readonly number[],
  { startAtZero }: ModelLayout,
  random: Rng,
): Float32Array {
  const values = new Float32Array(sizeOf(shape));
  if (shape.length > 1) return values.map(() => INITIALIZER_RANGE * random.normal());
  return values.fill(startAtZero.has(name) ? 0 : 1);
}

function wrap(graph: Graph, layout: ModelLayout): Wrapped {
  const trainable = new Map<string, Value>();
  for (const [name, shape] of layout.parameters) trainable.set(name, graph.input(name, 'float32', shape));
  const parameter = (name: string, shape: readonly number[]) => graph.input(name, 'float32', shape);
  return { sites: parameterSites(parameter), trainable, dropout: [] };
}
