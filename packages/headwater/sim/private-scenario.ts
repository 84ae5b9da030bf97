/**
 * What becomes of a scenario with noise in its releases: by the seed alone, so that everything else stays what it was without. The
 * noise is fresh in each round, lies in a tree over the rounds, or is that of cohorts which secret coins draw.
 */

import { type Rng, rng } from '../src/base/random.ts';
import type { ClientPrivacy } from '../src/federation/client-privacy.ts';
import type { OwnerScenario, Scenario } from './scenario.ts';
import type { TinyRecipe } from './works.ts';

/** Of the runs that could have it. */
const SHARE = 0.3;

const KINDS = ['gaussian', 'tree', 'poisson'] as const;

/** Secret noise is another in each simulation: no result without faults to compare with. */
export function privateSometimes(
  scenario: Scenario,
  isReliable: (owner: OwnerScenario) => boolean,
): Scenario {
  const random = rng(scenario.seed, 'noise');
  const { recipe, owners } = scenario;
  const isPlain = recipe.pace.mode === 'synchronous' && recipe.secureAggregation === undefined;
  if (random.uniform() >= SHARE || !isPlain) return scenario;
  const reliable = owners.filter(isReliable).length;
  const kind = KINDS[random.below(KINDS.length)]!;
  const counts = { reliable, all: owners.length };
  return { ...scenario, exact: false, recipe: privateRecipe(recipe, random, kind, counts) };
}

interface Counts {
  readonly reliable: number;
  readonly all: number;
}

function privateRecipe(
  recipe: TinyRecipe,
  random: Rng,
  kind: (typeof KINDS)[number],
  { reliable, all }: Counts,
): TinyRecipe {
  const { selection: _, ...rest } = recipe;
  // Two cohorts at least make a tree.
  const most = kind === 'tree' ? Math.floor(reliable / 2) : reliable;
  const cohortSize = Math.min(recipe.cohortSize ?? most, most);
  const quorum = 1 + random.below(cohortSize);
  const minOwners = kind === 'tree' ? reliable : Math.max(cohortSize, Math.min(recipe.minOwners, reliable));
  const rounds = recipe.rounds + (kind === 'tree' ? 2 : 0);
  const more = (recipe.pace.asked ?? 0) - (recipe.cohortSize ?? all);
  // Where owners stay away for good, those who are left have to be enough for all rounds.
  const maxParticipations = reliable < all ? rounds : 1 + random.below(rounds);
  const privacy: ClientPrivacy = {
    clipNorm: 0.5 + random.uniform(),
    noiseMultiplier: 0.3 + random.uniform(),
    maxParticipations,
    population: all,
    delta: 1e-3,
    ...(kind === 'tree'
      ? { tree: { leaves: 2 + random.below(Math.floor(minOwners / cohortSize) - 1) } }
      : {}),
    ...(kind === 'poisson' ? { poisson: { rate: cohortSize / all } } : {}),
  };
  const pace = { ...recipe.pace, evaluatedBy: 'owners', asked: cohortSize + Math.max(0, more) } as const;
  return { ...rest, rounds, cohortSize, quorum, minOwners, privacy, pace };
}
