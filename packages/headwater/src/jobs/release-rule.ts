/** What a recipe says about releases, as a plan has it: the same for simulations and deployments. */

import { assert } from '../base/errors.ts';
import type { ReleaseGate, ReleaseRule } from '../federation/release-rule.ts';
import type { Recipe } from '../recipe/schema.ts';
import type { RunRegistries } from './records.ts';
import { metricsOf } from './tokenize-parts.ts';

/** Undefined: every round may be released. The recipe was checked: its metric is one of a task, bound on the side where it is bad. */
export function releaseRuleOf(recipe: Recipe, registries: RunRegistries): ReleaseRule | undefined {
  const gate = gateOf(recipe, registries);
  const vote = recipe.deployment.releaseVote;
  if (gate === undefined && vote === undefined) return undefined;
  return { ...(gate === undefined ? {} : { gate }), ...(vote === undefined ? {} : { vote }) };
}

function gateOf(recipe: Recipe, registries: RunRegistries): ReleaseGate | undefined {
  if (recipe.evaluation.gate === undefined) return undefined;
  const { minimum, maximum, ...gate } = recipe.evaluation.gate;
  const found = metricsOf(recipe, registries).metrics.find(({ id }) => id === gate.metric);
  assert(found !== undefined, `no task gives ${gate.metric}`);
  const bound = minimum ?? maximum;
  return { ...gate, higherIsBetter: found.higherIsBetter, ...(bound === undefined ? {} : { bound }) };
}
