/**
 * What an estimate is made from, taken from an opened model and, where there are data, from its owners. It computes no
 * estimate.
 */

import { HeadwaterError } from '../base/errors.ts';
import { exampleMistakes } from '../federation/example-needs.ts';
import { secureAggregationMistakes } from '../federation/masking/secure-aggregation-needs.ts';
import type { BoundMethod } from '../federation/method.ts';
import { type OwnerCounts, stepsOf } from '../federation/plan.ts';
import { privacyMistakes } from '../federation/privacy-needs.ts';
import { plannedSelection } from '../federation/selection/registry.ts';
import { examplePrivacy } from '../jobs/example-privacy.ts';
import { plannedSecureAggregation } from '../jobs/masking.ts';
import {
  bindObjective,
  bindRecipeCompression,
  bindRecipeMethod,
  bindTuning,
  clientPrivacy,
  type RunRegistries,
} from '../jobs/records.ts';
import { localEpochsOf } from '../jobs/training-options.ts';
import type { Model } from '../models/model.ts';
import type { Recipe } from '../recipe/schema.ts';
import type { BoundTuning } from '../tuning/kind.ts';
import type { EstimateInput } from './estimate.ts';

type FromModel = Pick<
  EstimateInput,
  'recipe' | 'method' | 'compression' | 'tensors' | 'virtual' | 'model' | 'weights' | 'sequencesPerExample'
>;
type FromData = Pick<
  EstimateInput,
  'numOwners' | 'ownerNames' | 'fewestExamples' | 'tokensPerExample' | 'tokensAreAtMost'
>;

export function estimateParts(recipe: Recipe, registries: RunRegistries, model: Model): FromModel {
  const { tensors, virtual } = bindTuning(recipe, model.definition, registries);
  const method = bindRecipeMethod(recipe, registries);
  refusePrivacy(recipe, method, tensors);
  return {
    recipe,
    method,
    compression: bindRecipeCompression(recipe, registries),
    tensors,
    virtual,
    model: model.definition,
    weights: weightsOf(model),
    sequencesPerExample: bindObjective(recipe, registries).sequencesPerExample,
  };
}

/** As the run would. Throws RECIPE_INVALID. */
function refusePrivacy(recipe: Recipe, method: BoundMethod, tensors: BoundTuning['tensors']): void {
  const { weighting, fixedPoint, selection, mode } = recipe.federation;
  // Where the owners decide how many there are, their number refuses nothing yet.
  const privacy = clientPrivacy(recipe, recipe.federation.cohortSize ?? Number.POSITIVE_INFINITY);
  const compression = recipe.federation.compression.kind;
  const facts = { privacy, compression, weighting, fixedPoint, tensors, pace: { mode: mode.kind } };
  const chosen = plannedSelection(selection);
  const { rounds, localSteps } = recipe.federation;
  const mistakes = [
    ...privacyMistakes({ ...facts, rounds, selection: chosen }, method),
    ...exampleMistakes(
      {
        ...{ privacy, rounds, weighting, selection: chosen, examplePrivacy: examplePrivacy(recipe) },
        stepsOf: (owner) => stepsOf({ localSteps, localEpochs: localEpochsOf(recipe) }, owner),
      },
      method,
    ),
  ];
  mistakes.push(...maskMistakes(recipe, method, tensors));
  if (mistakes.length > 0)
    throw new HeadwaterError('RECIPE_INVALID', `the run could not start: ${mistakes.join('; ')}`);
}

/** A round of any size, where the owners decide how many there are. */
const SOME_OWNERS = 32;

function maskMistakes(
  recipe: Recipe,
  method: BoundMethod,
  tensors: BoundTuning['tensors'],
): readonly string[] {
  const {
    cohortSize = SOME_OWNERS,
    quorum = cohortSize,
    compression,
    mode,
    maxUpdateNorm,
  } = recipe.federation;
  const facts = {
    ...{ secureAggregation: plannedSecureAggregation(recipe), privacy: clientPrivacy(recipe, cohortSize) },
    ...{ quorum, cohortSize, owners: [], tensors, compression: compression.kind },
    pace: { mode: mode.kind, maxUpdateNorm: maxUpdateNorm ?? null },
  };
  return secureAggregationMistakes(facts, method);
}

export function amountsOf(owners: readonly OwnerCounts[]): FromData {
  const means = owners.map(({ numTokens, numExamples }) => numTokens / numExamples);
  const tokensPerExample = means.reduce((sum, mean) => sum + mean, 0) / means.length;
  const ownerNames = owners.map(({ owner }) => owner).sort();
  const fewestExamples = Math.min(...owners.map(({ numExamples }) => numExamples));
  return { numOwners: owners.length, ownerNames, fewestExamples, tokensPerExample, tokensAreAtMost: false };
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
