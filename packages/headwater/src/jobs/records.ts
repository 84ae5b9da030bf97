/** The records that a recipe names, found in the registries with its plug-ins: one place for the main thread and workers. */

import { HeadwaterError } from '../base/errors.ts';
import { didYouMean } from '../base/suggest.ts';
import type { Partitioner } from '../data/partition/partitioner.ts';
import { partitioners } from '../data/partition/registry.ts';
import { schemas } from '../data/schemas/registry.ts';
import type { DataSchema } from '../data/schemas/schema.ts';
import { type Attack, type BoundAttack, bindAttack } from '../federation/attacks/attack.ts';
import { attacks } from '../federation/attacks/registry.ts';
import type { ClientPrivacy } from '../federation/client-privacy.ts';
import {
  type BoundCompression,
  bindCompression,
  type Compression,
} from '../federation/compression/compression.ts';
import { compressions } from '../federation/compression/registry.ts';
import { type BoundMethod, bindMethod, type ClientFacts, type Method } from '../federation/method.ts';
import { methods } from '../federation/methods/registry.ts';
import { leastNoiseFor, participationsWithin } from '../federation/privacy-ledger.ts';
import { none } from '../federation/robust/none.ts';
import { preAggregations, robustRules } from '../federation/robust/registry.ts';
import {
  type BoundRule,
  bindRule,
  bindStep,
  type PreAggregation,
  type RobustRule,
} from '../federation/robust/rule.ts';
import { withRobustRule } from '../federation/robust/with-rule.ts';
import { selections } from '../federation/selection/registry.ts';
import type { Selection } from '../federation/selection/selection.ts';
import type { RecipeRecord } from '../recipe/registries.ts';
import type { Recipe } from '../recipe/schema.ts';
import { meanOverTargets } from '../training/objectives/language-modelling.ts';
import type { BoundObjective, Objective } from '../training/objectives/objective.ts';
import { objectives } from '../training/objectives/registry.ts';
import { tasks } from '../training/tasks/registry.ts';
import type { EvaluationTask } from '../training/tasks/task.ts';
import type { BoundTuning, ModelLayout, TuningKind } from '../tuning/kind.ts';
import { tuningKinds } from '../tuning/registry.ts';

export interface RunRegistries {
  readonly methods: ReadonlyMap<string, Method<unknown>>;
  readonly compressions: ReadonlyMap<string, Compression<unknown>>;
  readonly robustRules: ReadonlyMap<string, RobustRule<unknown>>;
  readonly preAggregations: ReadonlyMap<string, PreAggregation<unknown>>;
  readonly selections: ReadonlyMap<string, Selection<unknown>>;
  readonly tuningKinds: ReadonlyMap<string, TuningKind<unknown>>;
  readonly objectives: ReadonlyMap<string, Objective<unknown>>;
  readonly tasks: ReadonlyMap<string, EvaluationTask<unknown>>;
  readonly partitioners: ReadonlyMap<string, Partitioner<unknown>>;
  readonly schemas: ReadonlyMap<string, DataSchema<unknown>>;
  readonly attacks: ReadonlyMap<string, Attack<unknown>>;
}

export const builtinRegistries: RunRegistries = {
  methods,
  compressions,
  robustRules,
  preAggregations,
  selections,
  tuningKinds,
  objectives,
  tasks,
  partitioners,
  schemas,
  attacks,
};

/** `{ kind, …options }` → the record and its parsed options. Throws RECIPE_INVALID. */
export function recordOf<R extends RecipeRecord>(
  registry: ReadonlyMap<string, R>,
  { kind, ...raw }: { readonly kind: string; readonly [option: string]: unknown },
): { readonly record: R; readonly options: unknown } {
  const record = registry.get(kind);
  if (record === undefined)
    throw new HeadwaterError(
      'RECIPE_INVALID',
      `unknown kind "${kind}"; ${didYouMean(kind, [...registry.keys()])}`,
    );
  const parsed = record.options.safeParse(raw);
  if (parsed.success) return { record, options: parsed.data };
  const issues = parsed.error.issues.map(({ path, message }) => [...path, message].join(': '));
  throw new HeadwaterError('RECIPE_INVALID', `${kind}: ${issues.join('; ')}`);
}

/** With the robust rule that takes the place of its mean, where the recipe has one. */
export function bindRecipeMethod(recipe: Recipe, registries: RunRegistries): BoundMethod {
  const { record, options } = recordOf(registries.methods, recipe.federation.method);
  const method = bindMethod(record, options);
  const rule = bindRecipeRule(recipe, registries);
  return rule === undefined ? method : withRobustRule(method, rule);
}

function bindRecipeRule(
  { federation, seed }: Recipe,
  registries: Pick<RunRegistries, 'robustRules' | 'preAggregations'>,
): BoundRule | undefined {
  if (federation.robust === undefined || federation.robust.kind === none.id) return undefined;
  const { record, options } = recordOf(registries.robustRules, federation.robust);
  const { preAggregation = [] } = options as {
    readonly preAggregation?: readonly { readonly kind: string }[];
  };
  const steps = preAggregation.map((choice) => {
    const step = recordOf(registries.preAggregations, choice);
    return bindStep(step.record, step.options);
  });
  return bindRule(record, options, { steps, seed });
}

/** What adversaries of a simulation do; undefined: there are none. */
export function bindRecipeAttack(
  { simulation }: Recipe,
  { attacks }: Pick<RunRegistries, 'attacks'>,
): BoundAttack | undefined {
  if (simulation?.attack === undefined) return undefined;
  const { record, options } = recordOf(attacks, simulation.attack);
  return bindAttack(record, options);
}

/** What a method may ask of the clients before a run. */
export function clientFacts(recipe: Recipe, registries: Pick<RunRegistries, 'objectives'>): ClientFacts {
  const { optimizer, maxGradNorm } = recipe.training;
  const { examples } = bindObjective(recipe, registries);
  return { optimizer, maxGradNorm, compression: recipe.federation.compression.kind, examples };
}

/** How its rounds hide what single clients sent; undefined: they do not. `cohortSize`: where the recipe leaves it to the owners. */
export function clientPrivacy(
  { privacy, federation }: Recipe,
  cohortSize = federation.cohortSize,
): ClientPrivacy | undefined {
  if (privacy?.clientLevel === undefined) return undefined;
  const { clip, delta, targetEpsilon, maxParticipations, population } = privacy.clientLevel;
  const kind = mechanismOf(privacy.clientLevel, federation.rounds, cohortSize);
  const limit = maxParticipations ?? Math.ceil(federation.rounds / (kind.tree?.leaves ?? 1));
  const budget = targetEpsilon === undefined || delta === undefined ? undefined : { delta, targetEpsilon };
  const noiseMultiplier = privacy.clientLevel.noiseMultiplier ?? noiseFor(kind, budget, limit);
  const common = {
    ...{ ...kind, clipNorm: clip.norm, noiseMultiplier },
    maxParticipations:
      budget === undefined ? limit : participationsWithin({ ...kind, noiseMultiplier }, budget, limit),
    ...(population === undefined ? {} : { population }),
    ...(delta === undefined ? {} : { delta }),
  };
  if (clip.kind === 'fixed') return common;
  const { targetQuantile = 0.5, learningRate = 0.2 } = clip;
  const countNoise = clip.countNoise ?? (cohortSize ?? 0) / 20;
  return { ...common, adaptive: { targetQuantile, learningRate, countNoise } };
}

type Mechanism = Pick<ClientPrivacy, 'trust' | 'tree' | 'poisson'>;

function mechanismOf(
  {
    trust,
    mechanism,
    treeRounds,
    population,
    sampling,
  }: NonNullable<NonNullable<Recipe['privacy']>['clientLevel']>,
  rounds: number,
  cohortSize: number | undefined,
): Mechanism {
  const by = trust === 'central' ? {} : { trust };
  if (sampling === 'poisson') return { ...by, poisson: { rate: (cohortSize ?? 0) / (population ?? 0) } };
  if (mechanism !== 'tree') return by;
  const most =
    population === undefined ? rounds : Math.max(1, Math.floor(population / (cohortSize ?? population)));
  return { ...by, tree: { leaves: Math.min(rounds, treeRounds ?? most) } };
}

/** Checks of the recipe made sure that there is a budget. */
function noiseFor(
  mechanism: Mechanism,
  budget: Parameters<typeof leastNoiseFor>[1] | undefined,
  participations: number,
): number {
  return budget === undefined ? 0 : leastNoiseFor(mechanism, budget, participations);
}

/** What the recipe tunes, as its method wants it. */
export function bindTuning(recipe: Recipe, layout: ModelLayout, registries: RunRegistries): BoundTuning {
  const { record, options } = recordOf(registries.tuningKinds, recipe.tuning);
  return bindRecipeMethod(recipe, registries).tuning(record.bind(options, layout), layout, recipe.federation);
}

export function bindRecipeCompression(recipe: Recipe, registries: RunRegistries): BoundCompression {
  const { record, options } = recordOf(registries.compressions, recipe.federation.compression);
  return bindCompression(record, options);
}

/** What training minimises. */
export function bindObjective(
  { training }: Pick<Recipe, 'training'>,
  registries: Pick<RunRegistries, 'objectives'>,
): BoundObjective {
  if (training.objective === undefined) return meanOverTargets;
  const { record, options } = recordOf(registries.objectives, training.objective);
  return record.bind(options);
}
