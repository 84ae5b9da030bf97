/** A signed run in the few facts that an owner decides by. */

import { termsOf } from '@headwater/client/terms.ts';
import type { Manifest } from '@headwater/federation/wire/messages.ts';
import { minOwnersOf } from '@headwater/recipe/pace.ts';
import type { Recipe } from '@headwater/recipe/schema.ts';
import { DEFAULT_ADVERSARIES } from '@headwater/recipe/secure-aggregation-schema.ts';
import type { MaskingInWords, RunInWords } from '../messages.ts';

export function runInWords(recipe: Recipe, manifest: Manifest): RunInWords {
  const { model, recipe: signed } = manifest;
  const { federation, tuning, training, data, quantization, deployment } = recipe;
  const sum = (files: Manifest['model']['files']) => files.reduce((total, { bytes }) => total + bytes, 0);
  return {
    description: typeof signed.description === 'string' ? signed.description : null,
    method: federation.method.kind,
    compression: federation.compression.kind,
    tuning: tuning.kind,
    rounds: federation.rounds,
    localSteps: federation.localSteps,
    batchSize: training.batchSize,
    schema: data.schema.kind,
    validationFraction: data.validationFraction,
    testFraction: data.testFraction,
    weights: quantization.kind === 'none' ? (deployment.tabWeights ?? 'exact') : quantization.kind,
    weightBytes: sum(model.files.filter(({ path }) => path.endsWith('.safetensors'))),
    modelBytes: sum(model.files),
    minOwners: minOwnersOf(recipe),
    masking: maskingInWords(manifest),
  };
}

/** As the client holds the coordinator to it. */
function maskingInWords(manifest: Manifest): MaskingInWords | null {
  const { secureAggregation } = termsOf(manifest);
  if (secureAggregation === undefined) return null;
  const { mode, groupSize, helper = null, adversaries = DEFAULT_ADVERSARIES } = secureAggregation;
  return {
    ...{ mode, minSum: groupSize ?? manifest.minCohort, isGrouped: groupSize !== undefined, helper },
    adversaries: mode === 'two-server' ? null : adversaries,
  };
}
