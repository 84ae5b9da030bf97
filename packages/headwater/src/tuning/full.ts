/**
 * Full fine-tuning: every checkpoint tensor is trained, starting from the checkpoint. Tensors keep the checkpoint's
 * names; a tied matrix is one tensor and its gradient is the sum of both uses.
 */

import { z } from 'zod';
import { type Tensor, tensor } from '../base/tensor.ts';
import type { Graph, Value } from '../graph/ir.ts';
import { parameterSites } from '../graph/sites.ts';
import type { BoundTuning, ModelLayout, TuningKind, Wrapped } from './kind.ts';

const options = z.strictObject({});

export const full: TuningKind<z.infer<typeof options>> = {
  id: 'full',
  summary: 'all weights of the model (for pre-training and small models)',
  options,
  bind: (bound, layout) => bindFull(bound, layout),
  fromAdapterConfig: () => undefined,
};

function bindFull(bound: unknown, layout: ModelLayout): BoundTuning {
  const tensors = [...layout.parameters]
    .map(([name, shape]) => ({ name, shape }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
  return {
    kind: 'full',
    options: bound,
    tensors,
    init: async (_random, baseValue) => {
      const params = new Map<string, Tensor<'float32'>>();
      for (const { name, shape } of tensors)
        params.set(name, tensor('float32', shape, await baseValue(name)));
      return params;
    },
    wrap: (graph, _base) => wrap(graph, layout),
    adapterConfig: () => undefined,
  };
}

function wrap(graph: Graph, layout: ModelLayout): Wrapped {
  const trainable = new Map<string, Value>();
  for (const [name, shape] of layout.parameters) trainable.set(name, graph.input(name, 'float32', shape));
  const parameter = (name: string, shape: readonly number[]) => graph.input(name, 'float32', shape);
  return { sites: parameterSites(parameter), trainable, dropout: [] };
}
