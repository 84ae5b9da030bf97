/** What a recipe asks about who sent what, as a plan says it: the same for simulations and deployments. */

import type { RunPlan } from '../federation/plan.ts';
import type { Recipe } from '../recipe/schema.ts';

/** κ of the check of a round's lengths. */
const NORM_FACTOR = 5;

/**
 * No checks of a round where noise is calibrated to what one client adds (an update put aside for what others sent would change
 * more than its own part), and where single updates are masked.
 */
export function accountabilityOf({
  federation,
  privacy,
}: Pick<Recipe, 'federation' | 'privacy'>): Pick<RunPlan, 'cohortChecks' | 'freeRiders' | 'keepUpdates'> {
  const { maxNormOverMedian: normFactor = NORM_FACTOR, freeRiders, keepUpdates } = federation;
  const hidden = privacy?.clientLevel !== undefined || privacy?.secureAggregation !== undefined;
  return {
    cohortChecks: hidden ? undefined : { normFactor },
    freeRiders,
    keepUpdates: keepUpdates === true ? true : undefined,
  };
}
