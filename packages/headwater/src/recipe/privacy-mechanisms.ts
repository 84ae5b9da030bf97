/** Names of the privacy mechanisms that a recipe switches on, as owners' policies ask for them. */

import type { Recipe } from './schema.ts';

export function privacyMechanisms({ privacy }: Pick<Recipe, 'privacy'>): string[] {
  return [
    ...(privacy?.clientLevel === undefined ? [] : [`client-level-${privacy.clientLevel.trust}`]),
    ...(privacy?.exampleLevel === undefined ? [] : ['example-level']),
    ...(privacy?.secureAggregation === undefined
      ? []
      : ['secure-aggregation', `secure-aggregation-${privacy.secureAggregation.mode}`]),
  ];
}
