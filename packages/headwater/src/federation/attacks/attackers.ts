/** Who attacks in a simulated run, and what its results must say about it. It knows no attack. */

import { HeadwaterError } from '../../base/errors.ts';
import { rng, sampled } from '../../base/random.ts';
import type { BoundAttack } from './attack.ts';

/** What a plan says; absent: everybody does what it should. */
export interface AttackPlan {
  readonly kind: string;
  /** Sorted by name. */
  readonly owners: readonly string[];
  /** Round from which they attack, where they are honest at first. */
  readonly from?: number;
  /** They look at the params of the round before. */
  readonly recalls?: true;
}

export interface Chosen {
  /** As `attackersOf` has them. */
  readonly attackers: readonly string[];
  readonly owners: readonly string[];
  readonly quorum: number;
  readonly cohortSize: number;
}

/** Throws RECIPE_INVALID. */
export function planAttack(
  attack: BoundAttack,
  { attackers, owners, quorum, cohortSize }: Chosen,
): AttackPlan {
  // Whoever has nothing to learn takes no part.
  const names = attackers.filter((name) => owners.includes(name));
  const honest = owners.length - names.length;
  if (honest < 1) throw refused('leaves no honest owner', 'Name fewer owners.');
  if (attack.refused === true && quorum > cohortSize - names.length)
    throw refused(
      `sends updates that are refused, but federation.quorum is ${quorum} of ${cohortSize}`,
      `Set federation.quorum to ${cohortSize - names.length} or less.`,
    );
  return {
    kind: attack.id,
    owners: names,
    ...(attack.from === 1 ? {} : { from: attack.from }),
    ...(attack.sees === 'before' ? { recalls: true } : {}),
  };
}

/** Sorted by name. Throws RECIPE_INVALID for names that nobody has. */
export function attackersOf(
  { owners: chosen }: Pick<BoundAttack, 'owners'>,
  owners: readonly string[],
  seed: number,
): readonly string[] {
  if (typeof chosen === 'number') {
    if (chosen >= owners.length) throw refused('leaves no honest owner', 'Name fewer owners.');
    return sampled([...owners].sort(), chosen, rng(seed, 'attack', 'owners')).sort();
  }
  const unknown = chosen.find((name) => !owners.includes(name));
  if (unknown !== undefined)
    throw refused(
      `names the owner "${unknown}", whom the data do not have`,
      `There are ${owners.join(', ')}.`,
    );
  return [...new Set(chosen)].sort();
}

function refused(what: string, hint: string): HeadwaterError {
  return new HeadwaterError('RECIPE_INVALID', `simulation.attack ${what}`, { hint });
}

export const ATTACKED = 'ATTACKED (SIMULATED)';

/** The sentence that results, report and adapter of such a run carry. */
export function attackStatement({ kind, owners }: AttackPlan, numOwners: number): string {
  const names = owners.length > 8 ? `${owners.slice(0, 8).join(', ')} …` : owners.join(', ');
  return `${ATTACKED}: ${owners.length} of ${numOwners} owners (${names}) did what the attack ${kind} does; what came out is for study, not for use.`;
}
