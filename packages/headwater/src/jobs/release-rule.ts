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
  if (found !== undefined) return boundGate(gate, found.higherIsBetter);
  throw new HeadwaterError('RECIPE_INVALID', `evaluation.gate.metric: no task gives "${gate.metric}"`, {
    hint: didYouMean(
      gate.metric,
      metrics.map(({ id }) => id),
    ),
  });
}

/** An absolute bound has the name that says on which side of it a score is too bad. */
function boundGate(
  { minimum, maximum, ...gate }: NonNullable<Recipe['evaluation']['gate']>,
  higherIsBetter: boolean,
): ReleaseGate {
  const [bound, other, wrong] = higherIsBetter
    ? [minimum, maximum, 'maximum']
    : [maximum, minimum, 'minimum'];
  if (other !== undefined)
    throw new HeadwaterError(
      'RECIPE_INVALID',
      `evaluation.gate.${wrong}: ${gate.metric} is better the ${higherIsBetter ? 'higher' : 'lower'} it is`,
      { hint: `Set ${higherIsBetter ? 'minimum' : 'maximum'} instead: what is worse is not released.` },
    );
  return { ...gate, higherIsBetter, ...(bound === undefined ? {} : { bound }) };
}
