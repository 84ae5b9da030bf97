/**
 * Starting values of a head that the checkpoint does not hold. They are the same wherever the model is opened, so that all
 * owners of a run begin with the same head and nothing has to be sent.
 */

import { rng } from '../base/random.ts';
import { sizeOf, type Tensor, tensor } from '../base/tensor.ts';
import type { ModelDefinition } from './model.ts';

/** By parameter name: matrices N(0, initializerRange²), as transformers starts them; biases 0. */
export function freshHead({
  classifier,
  parameters,
}: Pick<ModelDefinition, 'classifier' | 'parameters'>): Map<string, Tensor<'float32'>> {
  const { freshModules, initializerRange } = classifier ?? { freshModules: [], initializerRange: 0 };
  const names = [...parameters.keys()].filter((name) =>
    freshModules.some((module) => name.startsWith(`${module}.`)),
  );
  return new Map(
    names.sort().map((name) => {
      const shape = parameters.get(name)!;
      const random = rng('fresh-head', name);
      const value = () => (shape.length < 2 ? 0 : initializerRange * random.normal());
      return [name, tensor('float32', shape, Float32Array.from({ length: sizeOf(shape) }, value))];
    }),
  );
}
