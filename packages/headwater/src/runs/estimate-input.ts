/** What an estimate is made from, taken from an opened model and, where there are data, from its owners. It computes no estimate. */

import type { OwnerCounts } from '../federation/plan.ts';
import { bindRecipeCompression, bindRecipeMethod, bindTuning, type RunRegistries } from '../jobs/records.ts';
import type { Model } from '../models/model.ts';
import type { Recipe } from '../recipe/schema.ts';
import type { EstimateInput } from './estimate.ts';

type FromModel = Pick<
  EstimateInput,
  'recipe' | 'method' | 'compression' | 'tensors' | 'virtual' | 'model' | 'weights'
>;
type FromData = Pick<EstimateInput, 'numOwners' | 'tokensPerExample' | 'tokensAreAtMost'>;

export function estimateParts(recipe: Recipe, registries: RunRegistries, model: Model): FromModel {
  const { tensors, virtual } = bindTuning(recipe, model.definition, registries);
  return {
    recipe,
    method: bindRecipeMethod(recipe, registries),
    compression: bindRecipeCompression(recipe, registries),
    tensors,
    virtual,
    model: model.definition,
    weights: weightsOf(model),
  };
}

export function amountsOf(owners: readonly OwnerCounts[]): FromData {
  const means = owners.map(({ numTokens, numExamples }) => numTokens / numExamples);
  const tokensPerExample = means.reduce((sum, mean) => sum + mean, 0) / means.length;
  return { numOwners: owners.length, tokensPerExample, tokensAreAtMost: false };
}

function weightsOf({ storedTypes }: Model): EstimateInput['weights'] {
  const elements = [...storedTypes.values()].map(({ dtype, shape }) => {
    const count = shape.reduce((size, dim) => size * dim, 1);
    return { count, bytes: count * (dtype === 'float32' ? 4 : 2) };
  });
  return {
    parameters: elements.reduce((sum, { count }) => sum + count, 0),
    bytes: elements.reduce((sum, { bytes }) => sum + bytes, 0),
  };
}
