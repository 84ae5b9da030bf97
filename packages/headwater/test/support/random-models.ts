/** Small models with random weights, and an executor that runs their programs in the float64 interpreter. */

import { rng } from '../../src/base/random.ts';
import { sizeOf, type Tensor, tensor } from '../../src/base/tensor.ts';
import type { Graph } from '../../src/graph/ir.ts';
import { interpret } from '../../src/graph/reference.ts';
import type { Model } from '../../src/models/model.ts';
import { definitionOf } from '../../src/models/registry.ts';
import type { Executor, WeightSource } from '../../src/runtime/executor.ts';
import { randomConfig } from './random-configs.ts';

export type SmallModel = Pick<Model, 'definition' | 'storedTypes' | 'weights'> & {
  readonly tensors: ReadonlyMap<string, Tensor<'float32'>>;
};

/** Vectors N(0.5, 0.3²), matrices N(0, 1/D): large enough that every part of the network matters. */
export function randomModel(architecture: string, seed: number): SmallModel {
  const config = randomConfig(architecture, seed);
  const definition = definitionOf(config, JSON.stringify(config));
  const tensors = new Map(
    [...definition.parameters].map(([name, shape]): [string, Tensor<'float32'>] => {
      const random = rng('random-model', seed, name);
      const value =
        shape.length < 2
          ? () => 0.5 + 0.3 * random.normal()
          : () => random.normal() / Math.sqrt(Math.min(...shape));
      return [name, tensor('float32', shape, Float32Array.from({ length: sizeOf(shape) }, value))];
    }),
  );
  const storedTypes = new Map(
    [...tensors].map(([name, { shape }]) => [name, { dtype: 'float32' as const, shape }]),
  );
  const weights: WeightSource = {
    locate: (name) => ({ kind: 'memory', tensor: tensors.get(name) as Tensor }),
  };
  return { definition, storedTypes, weights, tensors };
}

/** Float64 values where tensors say float32: the interpreter computes on whatever numbers there are. */
export function float64(shape: readonly number[], values: Float64Array): Tensor<'float32'> {
  return tensor('float32', shape, values as unknown as Float32Array);
}

/** Slow, exact, without kernels. */
export function interpretingExecutor(): Executor {
  const load = async (graph: Graph, weights: WeightSource) => {
    const frozen = new Map(
      [...graph.weights.keys()].map((name): [string, Tensor] => {
        const location = weights.locate(name);
        if (location.kind !== 'memory') throw new Error(`${name} lies in a file`);
        return [name, location.tensor];
      }),
    );
    return {
      inputs: graph.inputs,
      outputs: graph.outputs,
      run: async (feeds: ReadonlyMap<string, Tensor>) =>
        new Map(
          [...interpret(graph, feeds, frozen)].map(([name, { shape, data }]): [string, Tensor] => [
            name,
            float64(shape, data),
          ]),
        ),
      release: async () => {},
    };
  };
  return { device: 'cpu', threads: 1, kernels: 'portable', replicas: 1, load, dispose: async () => {} };
}
