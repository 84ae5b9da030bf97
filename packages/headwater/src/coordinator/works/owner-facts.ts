/** The facts about the data that reports show, as far as a coordinator knows them: what owners said about their own. */

import type { OwnerCounts } from '../../federation/plan.ts';
import type { RunRegistries } from '../../jobs/records.ts';
import { type DataFacts, metricsOf } from '../../jobs/tokenize-parts.ts';
import type { Recipe } from '../../recipe/schema.ts';

export function factsOf(
  recipe: Recipe,
  registries: RunRegistries,
  owners: readonly OwnerCounts[],
): DataFacts {
  const total = (count: (owner: OwnerCounts) => number) =>
    owners.reduce((sum, owner) => sum + count(owner), 0);
  const numTokens = total((owner) => owner.numTokens);
  const summary = (owner: string, numExamples: number, tokens: number) => ({
    owner,
    numExamples,
    numTokens: tokens,
    numTargets: 0,
    numLabels: 0,
    labels: [],
  });
  const numExamples = total((owner) => owner.numExamples);
  const heldOut = (['validation', 'test'] as const).flatMap((split) => {
    const count = total((owner) => owner.heldOut?.[split] ?? 0);
    return count === 0 ? [] : [[split, { numExamples: count, available: count, leftOut: 0 }] as const];
  });
  return {
    summary: {
      owners: owners.map((owner) => summary(owner.owner, owner.numExamples, owner.numTokens)),
      total: summary('all', numExamples, numTokens),
    },
    tokenization: {
      numTokenized: numExamples,
      numTokens,
      numTargets: 0,
      promptsTruncated: 0,
      completionsTruncated: 0,
      textsTruncated: 0,
      dropped: 0,
      textsChunked: 0,
    },
    heldOut: Object.fromEntries(heldOut),
    // What guessing gets depends on the examples, which are not here.
    chance: {},
    ...metricsOf(recipe, registries),
  };
}
