/** From a recipe to what one training costs an owner, where its own noise is all that protects it: for the ledger that it keeps. */

import { checkDelta } from '../privacy/accounting/steps.ts';
import type { Recipe } from '../recipe/schema.ts';
import { exampleTraining } from './example-privacy.ts';
import { clientPrivacy } from './records.ts';

/** As `TrainingCost` of a client. */
interface Cost {
  readonly samplingRate: number;
  readonly noiseMultiplier: number;
  readonly steps: number;
  readonly trust: 'example' | 'local' | 'distributed';
  readonly delta: number;
  readonly targetEpsilon: number | undefined;
}

/**
 * Of a training with so many steps; undefined: nothing is claimed, or the coordinator adds the noise and keeps the ledger. Throws
 * PRIVACY_INVALID for an owner with more examples than δ allows.
 */
export function trainingCost(
  recipe: Recipe,
  owner: { readonly numExamples: number },
): ((steps: number) => Cost) | undefined {
  const { exampleLevel, clientLevel } = recipe.privacy ?? {};
  const { privacy } = exampleTraining(recipe, owner, 'secret');
  if (privacy !== undefined && exampleLevel?.delta !== undefined) {
    const { samplingRate, noiseMultiplier } = privacy;
    const { delta, targetEpsilon } = exampleLevel;
    checkDelta(delta, owner.numExamples);
    return (steps) => ({ samplingRate, noiseMultiplier, steps, trust: 'example', delta, targetEpsilon });
  }
  const planned = clientPrivacy(recipe);
  if (planned?.trust === undefined || planned.delta === undefined) return undefined;
  const { trust, noiseMultiplier, delta } = planned;
  const { targetEpsilon } = clientLevel ?? {};
  return () => ({ samplingRate: 1, noiseMultiplier, steps: 1, trust, delta, targetEpsilon });
}
