/** A signed run in the few facts that an owner decides by. */

import type { Manifest } from '@headwater/federation/wire/messages.ts';
import type { Recipe } from '@headwater/recipe/schema.ts';
import type { RunInWords } from '../messages.ts';

export function runInWords(recipe: Recipe, { model, recipe: signed }: Manifest): RunInWords {
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
  };
}
