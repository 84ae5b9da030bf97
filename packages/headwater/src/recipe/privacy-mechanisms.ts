/** Names of the privacy mechanisms that a recipe switches on, as owners' policies ask for them. */

import type { Recipe } from './schema.ts';

export function privacyMechanisms({ privacy }: Pick<Recipe, 'privacy'>): string[] {
  return [
    ...(privacy?.clientLevel === undefined ? [] : clientLevelNames(privacy.clientLevel)),
    ...(privacy?.exampleLevel === undefined ? [] : ['example-level']),
    ...(privacy?.secureAggregation === undefined
      ? []
      : ['secure-aggregation', `secure-aggregation-${privacy.secureAggregation.mode}`]),
  ];
}

function clientLevelNames({
  trust,
  mechanism,
  sampling,
}: NonNullable<NonNullable<Recipe['privacy']>['clientLevel']>): string[] {
  return [
    `client-level-${trust}`,
    ...(mechanism === 'tree' ? ['client-level-tree'] : []),
    ...(sampling === 'poisson' ? ['client-level-poisson'] : []),
  ];
}
