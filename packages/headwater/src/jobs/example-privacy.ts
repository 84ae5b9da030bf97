/** From a recipe to the privacy of single examples: for the plan, and for the steps of one owner. */

import { type ExamplePrivacy, exampleMechanism } from '../federation/example-privacy.ts';
import { stepsOf } from '../federation/plan.ts';
import type { Recipe } from '../recipe/schema.ts';
import type { TrainOptions } from '../training/engine.ts';
import { localEpochsOf } from './training-options.ts';

type Asked = Pick<Recipe, 'privacy' | 'training' | 'federation'>;

/** Undefined: examples are not protected each for itself. */
export function examplePrivacy({ privacy, training }: Asked): ExamplePrivacy | undefined {
  if (privacy?.exampleLevel === undefined) return undefined;
  const { clip, noiseMultiplier, samplingRate, delta, targetEpsilon } = privacy.exampleLevel;
  return {
    ...{ clipNorm: clip.norm, batchSize: training.batchSize },
    ...(noiseMultiplier === undefined ? {} : { noiseMultiplier }),
    ...(samplingRate === undefined ? {} : { samplingRate }),
    ...(delta === undefined ? {} : { delta }),
    ...(targetEpsilon === undefined ? {} : { targetEpsilon }),
  };
}

/**
 * For the training options of an owner in a round. `simulated`: samples and noise follow from the seed. `secret`: nobody can draw them
 * again, so that a training is never made twice to the same bits.
 */
export function exampleTraining(
  recipe: Asked,
  owner: { readonly numExamples: number },
  randomness: 'simulated' | 'secret',
): Pick<TrainOptions, 'privacy'> {
  const privacy = examplePrivacy(recipe);
  if (privacy === undefined) return {};
  const { rounds, localSteps } = recipe.federation;
  const steps = stepsOf({ localSteps, localEpochs: localEpochsOf(recipe) }, owner);
  const { samplingRate, noiseMultiplier } = exampleMechanism(privacy, owner, { steps, rounds });
  return { privacy: { clipNorm: privacy.clipNorm, noiseMultiplier, samplingRate, randomness } };
}
