/** What an owner's own noise promises it, in words, before it joins. It knows no coordinator: noise of the coordinator is no promise here. */

import { significant } from '../base/format.ts';
import { exampleGuarantee } from '../federation/example-privacy.ts';
import { guaranteeFor } from '../federation/privacy-ledger.ts';
import { trainingCost } from '../jobs/training-cost.ts';
import type { Recipe } from '../recipe/schema.ts';

/** After all rounds; null where the coordinator adds the noise, or nobody. */
export function ownNoiseWords(recipe: Recipe, numExamples: number): string | null {
  const { rounds, localSteps } = recipe.federation;
  const cost = trainingCost(recipe, { numExamples })?.(localSteps);
  if (cost === undefined) return null;
  const { trust, delta, noiseMultiplier } = cost;
  const { epsilon } =
    trust === 'example'
      ? exampleGuarantee(cost, delta, rounds)
      : guaranteeFor({ trust, noiseMultiplier }, delta, rounds);
  const whose = trust === 'example' ? 'each of your examples' : 'all that you send';
  return `(ε, δ) = (${significant(epsilon)}, ${delta}) for ${whose}, after ${rounds} trainings`;
}
