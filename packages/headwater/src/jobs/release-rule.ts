/** What a recipe says about releases, as a plan has it: the same for simulations and deployments. */

import { HeadwaterError } from '../base/errors.ts';
import { didYouMean } from '../base/suggest.ts';
import type { ReleaseGate, ReleaseRule } from '../federation/release-rule.ts';
import type { Recipe } from '../recipe/schema.ts';
import type { RunRegistries } from './records.ts';
import { metricsOf } from './tokenize-parts.ts';

/** Undefined: every round may be released. Throws RECIPE_INVALID for a metric that no task gives. */
export function releaseRuleOf(recipe: Recipe, registries: RunRegistries): ReleaseRule | undefined {
  const gate = gateOf(recipe, registries);
  const vote = recipe.deployment.releaseVote;
  if (gate === undefined && vote === undefined) return undefined;
  return { ...(gate === undefined ? {} : { gate }), ...(vote === undefined ? {} : { vote }) };
}

function gateOf(recipe: Recipe, registries: RunRegistries): ReleaseGate | undefined {
  const { gate } = recipe.evaluation;
  if (gate === undefined) return undefined;
  const { metrics } = metricsOf(recipe, registries);
  const found = metrics.find(({ id }) => id === gate.metric);
  if (found !== undefined) return { ...gate, higherIsBetter: found.higherIsBetter };
  throw new HeadwaterError('RECIPE_INVALID', `evaluation.gate.metric: no task gives "${gate.metric}"`, {
    hint: didYouMean(
      gate.metric,
      metrics.map(({ id }) => id),
    ),
  });
}
