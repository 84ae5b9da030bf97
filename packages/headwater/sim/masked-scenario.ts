/**
 * What becomes of a scenario whose updates are masked: by the seed alone, so that everything else stays what it was without. Owners
 * open the masks together, or a helper does, which is one more process that may be lost.
 */

import { type Rng, rng } from '../src/base/random.ts';
import type { CrashScenario, Misbehaviour, OwnerScenario, Scenario } from './scenario.ts';
import type { TinyRecipe } from './works.ts';

/** Of the runs that could be masked. */
const SHARE = 0.2;
/** Of two, one knows what the other sent. */
const FEWEST = 3;
/** What a mask lets through, and what a client itself refuses to mask. */
const UNDER_MASKS: readonly (Misbehaviour | null)[] = ['nan', 'norm', 'liar'];

export function maskedSometimes(scenario: Scenario, isReliable: (owner: OwnerScenario) => boolean): Scenario {
  const random = rng(scenario.seed, 'masks');
  const { recipe, owners } = scenario;
  const reliable = owners.filter(isReliable).length;
  if (random.uniform() >= SHARE || recipe.pace.mode === 'buffered' || reliable < FEWEST) return scenario;
  const mode = random.uniform() < 0.5 ? 'secagg-plus' : 'two-server';
  return {
    ...scenario,
    recipe: maskedRecipe(recipe, random, mode),
    owners: owners.map((owner) =>
      UNDER_MASKS.includes(owner.misbehaves) ? owner : { ...owner, misbehaves: null },
    ),
    crashes: [
      ...scenario.crashes,
      ...Array.from({ length: mode === 'two-server' ? random.below(3) : 0 }, () =>
        helperCrash(random, scenario.healsAtMs),
      ),
    ],
  };
}

function maskedRecipe(recipe: TinyRecipe, random: Rng, mode: 'secagg-plus' | 'two-server'): TinyRecipe {
  const { pace } = recipe;
  const cohortSize = recipe.cohortSize && Math.max(FEWEST, recipe.cohortSize);
  const more = (pace.asked ?? 0) - (recipe.cohortSize ?? 0);
  // Where everybody must be counted, everybody is waited for.
  const stepMs = recipe.cohortSize === null ? 300_000 : 2000 + random.uniform() * 10_000;
  const assumed = { adversaries: 0.1, dropouts: 0.2 };
  return {
    ...recipe,
    cohortSize,
    quorum: recipe.quorum && Math.max(FEWEST, recipe.quorum),
    minOwners: Math.max(FEWEST, cohortSize ?? 0, recipe.minOwners),
    secureAggregation: mode === 'two-server' ? { mode } : { mode, assumed, stepMs },
    pace: { ...pace, maxUpdateNorm: null, asked: cohortSize === null ? pace.asked! : cohortSize + more },
  };
}

function helperCrash(random: Rng, healsAtMs: number): CrashScenario {
  return {
    process: 'helper',
    downMs: random.uniform() * 20_000,
    how: random.uniform() < 0.5 ? 'kill' : 'power',
    trigger:
      random.uniform() < 0.3
        ? { atMs: healsAtMs * random.uniform() }
        : { act: 1 + random.below(12), when: random.uniform() < 0.5 ? 'before' : 'after' },
  };
}
